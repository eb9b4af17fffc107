// SPDX-License-Identifier: MIT
//
// Numbers and times for people: short, the same width for the same magnitude, never more exact than is
// useful. They append to a weir__text. Any thread.
#ifndef WEIR_CLI_FORMAT_H
#define WEIR_CLI_FORMAT_H

#include <stdint.h>

#include "base/text.h"

// "0.4 s", "12.3 s", "3m 07s", "2h 05m", "4d 03h".
void weir__format_duration(weir__text *text, uint64_t duration_ms);

// "0 B", "999 B", "1.5 KiB", "64.0 MiB".
void weir__format_bytes(weir__text *text, uint64_t bytes);

// 1234567 as "1,234,567".
void weir__format_count(weir__text *text, uint64_t count);

// A stored time, "2026-01-31T12:00:00.123456", as "2026-01-31 12:00:00"; anything else is given back as it
// is.
void weir__format_time(weir__text *text, const char *stored);

#endif
