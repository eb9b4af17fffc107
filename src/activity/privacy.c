// SPDX-License-Identifier: MIT
//
// Which privacy rules are in force: those of the setting "privacy_filters", as the transaction at hand sees
// it. The compiled rules are kept together with the text they came from, so that looking again, which
// happens whenever anything was rolled back or another process has written, costs one SELECT and a
// comparison.
//
// A list that is not valid changes nothing: the rules before it stay, and a warning is logged, once for each
// text. A setting that is gone means no rules.
//
// Jobs only, see activity.h.
#include <stdlib.h>
#include <string.h>

#include "activity/activity.h"

struct weir__privacy {
    bool is_known; // `exists` and `value` are the database's
    bool exists;
    weir__text value;   // as it was read last, valid or not; only looked at when it `exists`
    weir__rules *rules; // in force; NULL: none
};

static int take(weir_activity *activity, const char *value, size_t size, weir_error *err)
{
    weir__privacy *const privacy = activity->privacy;
    privacy->exists = false; // until it has been read to its end
    weir__text_clear(&privacy->value);
    weir__text_append(&privacy->value, value, size);
    if (privacy->value.failed)
        return weir__activity_no_memory(err);
    weir__rules *rules = NULL;
    weir_error why = WEIR_ERROR_INIT;
    const int rc = weir__rules_parse(privacy->value.data, size, &rules, &why);
    if (rc == WEIR_NOMEM) {
        weir__error_copy(err, &why);
        return rc;
    }
    if (rc == WEIR_OK) {
        weir__rules_free(privacy->rules);
        privacy->rules = rules;
    } else {
        weir__log(WEIR__LOG_WARNING, "%s: the setting privacy_filters is not valid, so %s: %s",
                  activity->path,
                  privacy->rules != NULL ? "the filters before it stay in force" : "no filter is in force",
                  why.text);
    }
    privacy->exists = true;
    privacy->is_known = true;
    return WEIR_OK;
}

static void take_none(weir__privacy *privacy)
{
    weir__rules_free(privacy->rules);
    privacy->rules = NULL;
    privacy->exists = false;
    privacy->is_known = true;
}

int weir__privacy_load(weir_activity *activity, weir_tx *tx, weir_error *err)
{
    if (activity->privacy == NULL)
        activity->privacy = calloc(1, sizeof *activity->privacy);
    weir__privacy *const privacy = activity->privacy;
    if (privacy == NULL)
        return weir__activity_no_memory(err);
    if (privacy->is_known)
        return WEIR_OK;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, "SELECT value FROM key_value WHERE key='settings.privacy_filters'", &stmt, err);
    if (rc == WEIR_OK)
        rc = weir_step(stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    const char *const value = row ? weir_column_text(stmt, 0) : NULL;
    const size_t size = value != NULL ? weir_column_size(stmt, 0) : 0;
    if (value == NULL)
        take_none(privacy);
    else if (privacy->exists && privacy->value.size == size &&
             memcmp(weir__text_string(&privacy->value), value, size) == 0)
        privacy->is_known = true;
    else
        rc = take(activity, value, size, err);
    weir_reset(stmt);
    return rc;
}

int weir__privacy_apply(weir_activity *activity, weir_tx *tx, const char *bucket_id, const char *data,
                        size_t data_size, weir__text *redacted, weir__privacy_verdict *verdict,
                        weir_error *err)
{
    *verdict = WEIR__PRIVACY_KEEP;
    const int rc = weir__privacy_load(activity, tx, err);
    if (rc != WEIR_OK || activity->privacy->rules == NULL)
        return rc;
    return weir__rules_apply(activity->privacy->rules, bucket_id, data, data_size, redacted, verdict, err);
}

bool weir__privacy_is_active(const weir_activity *activity)
{
    return activity->privacy != NULL && activity->privacy->rules != NULL;
}

void weir__privacy_forget(weir_activity *activity)
{
    if (activity->privacy != NULL)
        activity->privacy->is_known = false;
}

void weir__privacy_destroy(weir_activity *activity)
{
    if (activity->privacy == NULL)
        return;
    weir__rules_free(activity->privacy->rules);
    weir__text_free(&activity->privacy->value);
    free(activity->privacy);
    activity->privacy = NULL;
}
