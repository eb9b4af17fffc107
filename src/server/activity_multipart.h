// SPDX-License-Identifier: MIT
//
// Finds a file in a multipart/form-data body (RFC 7578), as browsers send one, without taking the body into
// memory. Pure but for pread(2); any thread.
#ifndef WEIR_SERVER_ACTIVITY_MULTIPART_H
#define WEIR_SERVER_ACTIVITY_MULTIPART_H

#include <stdbool.h>

#include <weir/activity.h>

// Does this Content-Type (NULL: none) say so?
bool weir__multipart_is(const char *content_type);

// The content of the first part whose name is `field`, or begins with `field` and a point: a region of the
// same memory or file. INVALID: no boundary, not of this form, cut short. MISMATCH: no such part. IO.
int weir__multipart_find(const weir_activity_input *body, const char *content_type, const char *field,
                         weir_activity_input *part, weir_error *err);

#endif
