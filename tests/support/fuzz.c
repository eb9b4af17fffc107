// SPDX-License-Identifier: MIT
//
// See fuzz.h. Changes are few, so that much of what is good stays and the reader gets far into a text.
#include "support/fuzz.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/text.h"

enum { changes_max = 6 };

static weir__rng rng;
static uint64_t rounds;

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *const text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

void fuzz_init(uint64_t rounds_default)
{
    const uint64_t seed = number_from("WEIR_FUZZ_SEED", weir__random_u64());
    rounds = number_from("WEIR_FUZZ_ROUNDS", rounds_default);
    printf("# WEIR_FUZZ_SEED=%" PRIu64 "\n", seed);
    weir__rng_init(&rng, seed);
}

uint64_t fuzz_rounds(void)
{
    return rounds;
}

uint64_t fuzz_below(uint64_t limit)
{
    return weir__rng_below(&rng, limit);
}

static void change(weir__text *text, char byte)
{
    const size_t at = (size_t)fuzz_below(text->size + 1);
    const uint64_t kind = fuzz_below(10);
    if (kind == 0) {
        text->size = at;
    } else if (kind < 5 && at < text->size) {
        text->data[at] = byte;
    } else if (kind < 7 && at < text->size) {
        memmove(text->data + at, text->data + at + 1, text->size - at - 1);
        text->size--;
    } else {
        weir__text_char(text, byte);
        memmove(text->data + at + 1, text->data + at, text->size - at - 1);
        text->data[at] = byte;
    }
}

char *fuzz_mutate(const char *text, const char *favourites, size_t *size)
{
    weir__text changed = {0};
    weir__text_add(&changed, text);
    for (uint64_t i = fuzz_below(changes_max); i > 0; i--)
        change(&changed, fuzz_below(20) == 0 ? '\0' : favourites[fuzz_below(strlen(favourites))]);
    char *const exact = malloc(changed.size > 0 ? changed.size : 1);
    assert_non_null(exact);
    if (changed.size > 0)
        memcpy(exact, changed.data, changed.size);
    *size = changed.size;
    weir__text_free(&changed);
    return exact;
}
