// SPDX-License-Identifier: MIT
//
// See cors.h. Lists are short, so this is a plain search. An origin is as long as a header may be and comes from a
// stranger, so matching has limits: an expression that runs into one does not match.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "server/cors.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/http.h"

enum { MATCH_STEPS_MAX = 100000, MATCH_HEAP_KIB_MAX = 1024, DEVELOPMENT_PORT = 27180 };

// The extension of ActivityWatch in Chrome's store.
static const char chrome_extension[] = "nglaklhklhcoonedhgnpgddginnjdadi";

struct weir__cors {
    weir__origin *origins;
    size_t origins_count;
    pcre2_code **regexes;
    size_t regexes_count;
    pcre2_match_context *limits;
    uint16_t port;
    bool testing;
};

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "no memory for the list of origins");
}

static int add_origins(weir__cors *cors, const weir__strings *texts, weir_error *err)
{
    for (size_t i = 0; i < texts->count; i++) {
        weir__origin *origin = &cors->origins[cors->origins_count];
        if (!weir__http_origin_parse(texts->items[i], origin))
            return weir__error_set(err, WEIR_INVALID,
                                   "'%s' is no origin: give it as https://weir.example.org", texts->items[i]);
        cors->origins_count++;
    }
    return WEIR_OK;
}

static int add_regexes(weir__cors *cors, const weir__strings *texts, weir_error *err)
{
    for (size_t i = 0; i < texts->count; i++) {
        int number = 0;
        PCRE2_SIZE offset = 0;
        PCRE2_UCHAR words[128] = "";
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)texts->items[i], PCRE2_ZERO_TERMINATED,
                                         PCRE2_NEVER_BACKSLASH_C, &number, &offset, NULL);
        if (code == NULL) {
            (void)pcre2_get_error_message(number, words, sizeof words);
            return weir__error_set(err, WEIR_INVALID, "'%s' is no regular expression: %s at character %zu",
                                   texts->items[i], (const char *)words, (size_t)offset + 1);
        }
        cors->regexes[cors->regexes_count++] = code;
    }
    return WEIR_OK;
}

int weir__cors_create(const weir__strings *origins, const weir__strings *also, const weir__strings *regexes,
                      uint16_t port, bool testing, weir__cors **cors, weir_error *err)
{
    *cors = NULL;
    weir__cors *made = calloc(1, sizeof *made);
    if (made == NULL)
        return no_memory(err);
    made->port = port;
    made->testing = testing;
    made->origins = calloc(origins->count + also->count + 1, sizeof *made->origins);
    made->regexes = calloc(regexes->count + 1, sizeof *made->regexes);
    made->limits = pcre2_match_context_create(NULL);
    int code = WEIR_OK;
    if (made->origins == NULL || made->regexes == NULL || made->limits == NULL)
        code = no_memory(err);
    if (code == WEIR_OK)
        code = add_origins(made, origins, err);
    if (code == WEIR_OK)
        code = add_origins(made, also, err);
    if (code == WEIR_OK)
        code = add_regexes(made, regexes, err);
    if (code != WEIR_OK) {
        weir__cors_destroy(made);
        return code;
    }
    (void)pcre2_set_match_limit(made->limits, MATCH_STEPS_MAX);
    (void)pcre2_set_heap_limit(made->limits, MATCH_HEAP_KIB_MAX);
    *cors = made;
    return WEIR_OK;
}

void weir__cors_destroy(weir__cors *cors)
{
    if (cors == NULL)
        return;
    for (size_t i = 0; i < cors->regexes_count; i++)
        pcre2_code_free(cors->regexes[i]);
    pcre2_match_context_free(cors->limits);
    free(cors->regexes);
    free(cors->origins);
    free(cors);
}

static bool same(const weir__origin *a, const weir__origin *b)
{
    return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0;
}

// What the web interface and the browser extensions send.
static bool is_known(const weir__cors *cors, const weir__origin *origin)
{
    if (strcmp(origin->scheme, "moz-extension") == 0)
        return true;
    if (strcmp(origin->scheme, "chrome-extension") == 0)
        return cors->testing || strcmp(origin->host, chrome_extension) == 0;
    return strcmp(origin->scheme, "http") == 0 &&
           (strcmp(origin->host, "127.0.0.1") == 0 || strcmp(origin->host, "localhost") == 0) &&
           (origin->port == cors->port || (cors->testing && origin->port == DEVELOPMENT_PORT));
}

static bool matches(const weir__cors *cors, const pcre2_code *regex, const char *text)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (match == NULL)
        return false;
    const int found = pcre2_match(regex, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0, match, cors->limits);
    pcre2_match_data_free(match);
    return found >= 0;
}

weir__cors_verdict weir__cors_check(const weir__cors *cors, const char *origin)
{
    weir__origin parsed;
    if (strcmp(origin, "null") == 0) // a page from a file, or one that hides where it comes from
        return WEIR__CORS_REFUSED;
    if (!weir__http_origin_parse(origin, &parsed))
        return WEIR__CORS_MALFORMED;
    bool allowed = is_known(cors, &parsed);
    for (size_t i = 0; !allowed && i < cors->origins_count; i++)
        allowed = same(&parsed, &cors->origins[i]);
    for (size_t i = 0; !allowed && i < cors->regexes_count; i++)
        allowed = matches(cors, cors->regexes[i], origin);
    return allowed ? WEIR__CORS_ALLOWED : WEIR__CORS_REFUSED;
}
