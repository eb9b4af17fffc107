// SPDX-License-Identifier: MIT
//
// Privacy filters: rules that drop or redact events before they are written. Without rules everything is kept.
//
// Jobs only, see activity.h.
#include "activity/activity.h"

int weir__privacy_apply(weir_activity *activity, weir_tx *tx, const char *bucket_id, const char *data,
                        size_t data_size, weir__text *redacted, weir__privacy_verdict *verdict,
                        weir_error *err)
{
    (void)activity, (void)tx, (void)bucket_id, (void)data, (void)data_size, (void)redacted, (void)err;
    *verdict = WEIR__PRIVACY_KEEP;
    return WEIR_OK;
}

void weir__privacy_forget(weir_activity *activity)
{
    activity->privacy = NULL;
}
