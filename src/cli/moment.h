// SPDX-License-Identifier: MIT
//
// Moments as people type and read them, in the machine's time zone. Any thread.
#ifndef WEIR_CLI_MOMENT_H
#define WEIR_CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

// For --help.
#define WEIR__MOMENT_FORMS                                                                   \
    "A TIME is 2026-01-31T12:00:00Z (or with another offset), a local 2026-01-31, "          \
    "\"2026-01-31 12:00\" or\n\"2026-01-31 12:00:00\", one of now, today and yesterday, or " \
    "how long ago: -90, -15m, -2h, -7d."

// "2026-01-31T12:00:00.5+01:00", "2026-01-31", "2026-01-31 12:00[:00]", "now", "today", "yesterday", "-2h". A day
// means its first moment. False for anything else, or what 64 bits of nanoseconds cannot hold.
bool weir__moment_parse(const char *text, int64_t now_ns, int64_t *ns);

// "2026-01-31 12:00:00", local.
enum { WEIR__MOMENT_SIZE = 32 };
const char *weir__moment_text(int64_t ns, char out[WEIR__MOMENT_SIZE]);

// "0.4 s", "3m 07s", with a minus where it is negative.
void weir__moment_duration(weir__text *text, int64_t ns);

#endif
