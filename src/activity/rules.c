// SPDX-License-Identifier: MIT
//
// Privacy rules on PCRE2: reading the list, finding the string that a rule is about, matching it.
//
// The dialect is the nearest to that of ActivityWatch's server: Unicode throughout, `$` only at the very end,
// a line ends with LF, \uXXXX is a character. Two things keep a pattern from holding up the writer. PCRE2's
// match limit bounds the work from one place where a match may begin; as it begins anew at the next one, the
// limit is chosen so that limit times places stays below WORK_MAX. The heap limit bounds its memory.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "activity/rules.h"

#include <inttypes.h>
#include <pcre2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "activity/json.h"
#include "base/assert.h"
#include "base/error.h"
#include "base/json_read.h"

// In internal calls of PCRE2's matcher, of which it makes some 50 million a second.
enum { WORK_MAX = 50000000, MATCH_LIMIT_MAX = 1000000, MATCH_LIMIT_MIN = 100 };
enum { DEPTH_LIMIT = 100000, HEAP_LIMIT_KIB = 8192 };

static const uint32_t pattern_options =
    PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_NEVER_BACKSLASH_C;

typedef struct rule {
    bool enabled, drops;
    bool is_confined;           // can match only where a line begins
    weir__text bucket_prefix;   // empty: every bucket
    weir__text field;           // dotted
    weir__text replacement;     // decoded; only looked at to see whether it is empty
    weir__text replacement_raw; // as a JSON string, canonical
    pcre2_code *pattern;
} rule;

struct weir__rules {
    pcre2_compile_context *compile; // while the rules are read
    pcre2_match_context *match;
    pcre2_match_data *found;
    weir__text subject; // the string that is looked at
    weir__text spare;   // the data with it replaced
    size_t count, capacity;
    rule *rules;
};

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "out of memory");
}

// ------------------------------------------------------------------------------------------- reading a rule

enum { ENABLED = 1, BUCKET_PREFIX = 2, FIELD = 4, PATTERN = 8, ACTION = 16, REPLACEMENT = 32 };

typedef struct reading {
    weir__json_reader json;
    size_t number; // of the rule, from 1
    unsigned seen;
    weir__text pattern;
} reading;

static const weir__json_field fields[] = {
    {"enabled", ENABLED}, {"bucket_prefix", BUCKET_PREFIX}, {"field", FIELD}, {"pattern", PATTERN},
    {"action", ACTION},   {"replacement", REPLACEMENT},     {NULL, 0},
};

static int mismatch(const reading *at, const char *what, weir_error *err)
{
    return weir__error_set(err, WEIR_MISMATCH, "privacy filter %zu: %s", at->number, what);
}

// A string, or null (which counts as absent) where that is allowed.
static int read_string(reading *at, unsigned bit, bool may_be_null, weir__text *out, weir_error *err)
{
    weir__json_token token;
    const int code = weir__json_reader_next(&at->json, &token, err);
    if (code != WEIR_OK)
        return code;
    if (token.type == WEIR__JSON_NULL && may_be_null) {
        at->seen &= ~bit;
        return WEIR_OK;
    }
    if (token.type != WEIR__JSON_STRING)
        return weir__error_set(err, WEIR_MISMATCH, "privacy filter %zu: \"%s\" must be a string", at->number,
                               weir__json_field_name(fields, bit));
    weir__text_append(out, token.text, token.size);
    return out->failed ? no_memory(err) : WEIR_OK;
}

static int read_enabled(reading *at, rule *out, weir_error *err)
{
    weir__json_token token;
    const int code = weir__json_reader_next(&at->json, &token, err);
    if (code != WEIR_OK)
        return code;
    if (token.type != WEIR__JSON_TRUE && token.type != WEIR__JSON_FALSE)
        return mismatch(at, "\"enabled\" must be true or false", err);
    out->enabled = token.type == WEIR__JSON_TRUE;
    return WEIR_OK;
}

static int read_action(reading *at, rule *out, weir_error *err)
{
    weir__text action = {0};
    int code = read_string(at, ACTION, false, &action, err);
    if (code == WEIR_OK) {
        out->drops = strcmp(weir__text_string(&action), "drop") == 0;
        if (!out->drops && strcmp(weir__text_string(&action), "redact") != 0)
            code = mismatch(at, "\"action\" must be \"drop\" or \"redact\"", err);
    }
    weir__text_free(&action);
    return code;
}

static int read_replacement(reading *at, rule *out, weir_error *err)
{
    int code = read_string(at, REPLACEMENT, true, &out->replacement, err);
    if (code != WEIR_OK || (at->seen & REPLACEMENT) == 0)
        return code;
    weir__text literal = {0};
    weir__text_json_string(&literal, weir__text_string(&out->replacement), out->replacement.size);
    if (literal.failed)
        code = no_memory(err);
    else
        code =
            weir__json_canonical(literal.data, literal.size, WEIR__JSON_STRING, &out->replacement_raw, err);
    weir__text_free(&literal);
    return code;
}

static int read_field(reading *at, unsigned bit, rule *out, weir_error *err)
{
    switch (bit) {
    case ENABLED:
        return read_enabled(at, out, err);
    case BUCKET_PREFIX:
        return read_string(at, bit, true, &out->bucket_prefix, err);
    case FIELD:
        return read_string(at, bit, true, &out->field, err);
    case PATTERN:
        return read_string(at, bit, false, &at->pattern, err);
    case ACTION:
        return read_action(at, out, err);
    case REPLACEMENT:
        return read_replacement(at, out, err);
    default:
        return weir__json_reader_skip(&at->json, err);
    }
}

static int compile(const weir__rules *rules, const reading *at, rule *out, weir_error *err)
{
    int error = 0;
    PCRE2_SIZE where = 0;
    out->pattern = pcre2_compile((PCRE2_SPTR)weir__text_string(&at->pattern), at->pattern.size,
                                 pattern_options, &error, &where, rules->compile);
    if (out->pattern != NULL) {
        uint32_t options = 0, first = 0;
        pcre2_pattern_info(out->pattern, PCRE2_INFO_ALLOPTIONS, &options);
        pcre2_pattern_info(out->pattern, PCRE2_INFO_FIRSTCODETYPE, &first);
        out->is_confined = (options & PCRE2_ANCHORED) != 0 || first == 2;
        return WEIR_OK;
    }
    if (error == PCRE2_ERROR_HEAP_FAILED)
        return no_memory(err);
    char words[128] = "";
    if (pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof words) == PCRE2_ERROR_NOMEMORY)
        words[sizeof words - 1] = '\0'; // cut short
    return weir__error_set(err, WEIR_INVALID,
                           "privacy filter %zu: the pattern is no regular expression: %s (at byte %zu of it)",
                           at->number, words, (size_t)where);
}

static int check(const weir__rules *rules, const reading *at, rule *out, weir_error *err)
{
    static const unsigned needed[] = {ENABLED, PATTERN, ACTION, FIELD};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if ((at->seen & needed[i]) == 0)
            return weir__error_set(err, WEIR_MISMATCH, "privacy filter %zu has no \"%s\"", at->number,
                                   weir__json_field_name(fields, needed[i]));
    }
    if (!out->drops && out->replacement.size == 0)
        return mismatch(at, "\"redact\" needs a \"replacement\" that is not empty", err);
    return compile(rules, at, out, err);
}

static int read_rule(const weir__rules *rules, reading *at, rule *out, weir_error *err)
{
    weir__json_token token;
    int code = WEIR_OK;
    at->seen = 0;
    weir__text_clear(&at->pattern);
    while ((code = weir__json_reader_next(&at->json, &token, err)) == WEIR_OK &&
           token.type != WEIR__JSON_OBJECT_END) {
        const unsigned bit = weir__json_field_of(fields, &token);
        if ((at->seen & bit) != 0)
            return weir__error_set(err, WEIR_MISMATCH, "privacy filter %zu has \"%s\" twice", at->number,
                                   weir__json_field_name(fields, bit));
        at->seen |= bit;
        code = read_field(at, bit, out, err);
        if (code != WEIR_OK)
            return code;
    }
    return code == WEIR_OK ? check(rules, at, out, err) : code;
}

// ------------------------------------------------------------------------------------------ reading the list

static int append_rule(weir__rules *rules, rule **added, weir_error *err)
{
    if (rules->count == WEIR__RULES_MAX)
        return weir__error_set(err, WEIR_TOOBIG, "there are more than %d privacy filters", WEIR__RULES_MAX);
    if (rules->count == rules->capacity) {
        const size_t capacity = rules->capacity == 0 ? 8 : rules->capacity * 2;
        rule *const grown = realloc(rules->rules, capacity * sizeof *grown);
        if (grown == NULL)
            return no_memory(err);
        rules->rules = grown;
        rules->capacity = capacity;
    }
    *added = &rules->rules[rules->count++];
    **added = (rule){0};
    return WEIR_OK;
}

static int read_rules(weir__rules *rules, reading *at, weir_error *err)
{
    weir__json_token token;
    int code = weir__json_reader_next(&at->json, &token, err);
    if (code == WEIR_OK && token.type != WEIR__JSON_ARRAY)
        return weir__error_set(err, WEIR_MISMATCH, "privacy filters must be a JSON array");
    while (code == WEIR_OK) {
        code = weir__json_reader_next(&at->json, &token, err);
        if (code != WEIR_OK)
            return code;
        if (token.type == WEIR__JSON_ARRAY_END)
            return weir__json_reader_next(&at->json, &token, err); // nothing may follow
        at->number++;
        if (token.type != WEIR__JSON_OBJECT)
            return mismatch(at, "a filter must be a JSON object", err);
        rule *added = NULL;
        code = append_rule(rules, &added, err);
        if (code == WEIR_OK)
            code = read_rule(rules, at, added, err);
    }
    return code;
}

static int create(weir__rules **out, weir_error *err)
{
    weir__rules *const rules = *out = calloc(1, sizeof *rules);
    if (rules == NULL)
        return no_memory(err);
    rules->compile = pcre2_compile_context_create(NULL);
    rules->match = pcre2_match_context_create(NULL);
    rules->found = pcre2_match_data_create(1, NULL);
    if (rules->compile == NULL || rules->match == NULL || rules->found == NULL)
        return no_memory(err);
    pcre2_set_newline(rules->compile, PCRE2_NEWLINE_LF);
    pcre2_set_compile_extra_options(rules->compile, PCRE2_EXTRA_ALT_BSUX); // \u{…}, too
    pcre2_set_max_pattern_length(rules->compile, WEIR__RULE_PATTERN_BYTES_MAX);
    pcre2_set_depth_limit(rules->match, DEPTH_LIMIT);
    pcre2_set_heap_limit(rules->match, HEAP_LIMIT_KIB);
    return WEIR_OK;
}

int weir__rules_parse(const char *json, size_t size, weir__rules **rules, weir_error *err)
{
    reading at = {.number = 0};
    weir__json_reader_init(&at.json, json, size, 0);
    int code = create(rules, err);
    if (code == WEIR_OK)
        code = read_rules(*rules, &at, err);
    weir__json_reader_fini(&at.json);
    weir__text_free(&at.pattern);
    if (code != WEIR_OK) {
        weir__rules_free(*rules);
        *rules = NULL;
    }
    return code;
}

void weir__rules_free(weir__rules *rules)
{
    if (rules == NULL)
        return;
    for (size_t i = 0; i < rules->count; i++) {
        weir__text_free(&rules->rules[i].bucket_prefix);
        weir__text_free(&rules->rules[i].field);
        weir__text_free(&rules->rules[i].replacement);
        weir__text_free(&rules->rules[i].replacement_raw);
        pcre2_code_free(rules->rules[i].pattern);
    }
    free(rules->rules);
    weir__text_free(&rules->subject);
    weir__text_free(&rules->spare);
    pcre2_match_data_free(rules->found);
    pcre2_match_context_free(rules->match);
    pcre2_compile_context_free(rules->compile);
    free(rules);
}

// ------------------------------------------------------------------------------------------------- matching

static uint32_t match_limit(const rule *filter, const weir__text *subject)
{
    size_t places = subject->size + 1;
    if (filter->is_confined) {
        places = 1;
        for (size_t i = 0; i < subject->size; i++)
            places += subject->data[i] == '\n';
    }
    const size_t limit = WORK_MAX / places;
    if (limit < MATCH_LIMIT_MIN)
        return MATCH_LIMIT_MIN;
    return limit > MATCH_LIMIT_MAX ? MATCH_LIMIT_MAX : (uint32_t)limit;
}

static int matches(weir__rules *rules, const rule *filter, bool *yes, weir_error *err)
{
    *yes = true;
    if (rules->subject.size > WEIR__RULE_TEXT_BYTES_MAX)
        return WEIR_OK;
    pcre2_set_match_limit(rules->match, match_limit(filter, &rules->subject));
    const int found = pcre2_match(filter->pattern, (PCRE2_SPTR)weir__text_string(&rules->subject),
                                  rules->subject.size, 0, 0, rules->found, rules->match);
    if (found == PCRE2_ERROR_NOMEMORY)
        return no_memory(err);
    *yes = found != PCRE2_ERROR_NOMATCH; // beyond a limit: yes
    return WEIR_OK;
}

// Where the string of a rule stands in the data.
typedef struct place {
    bool exists;
    size_t begin, end; // with its quotes
} place;

// The end of the string whose quote is at `begin`.
static size_t string_end(const char *json, size_t begin)
{
    size_t at = begin + 1;
    while (json[at] != '"')
        at += json[at] == '\\' ? 2 : 1;
    return at + 1;
}

// Compares a key with the path's next part and moves behind it.
static bool step_into(const weir__json_token *key, const char **path, size_t *path_size)
{
    const char *const dot = memchr(*path, '.', *path_size);
    const size_t size = dot != NULL ? (size_t)(dot - *path) : *path_size;
    if (key->size != size || memcmp(key->text, *path, size) != 0)
        return false;
    *path = dot != NULL ? dot + 1 : NULL;
    *path_size -= dot != NULL ? size + 1 : size;
    return true;
}

// Looks for the path, which is not NULL, in the object that begins now.
static int find_in(weir__json_reader *reader, const char *path, size_t path_size, weir__json_token *value,
                   bool *exists, weir_error *err)
{
    *exists = false;
    int code = weir__json_reader_next(reader, value, err);
    while (code == WEIR_OK && value->type == WEIR__JSON_OBJECT) {
        bool here = false;
        while ((code = weir__json_reader_next(reader, value, err)) == WEIR_OK &&
               value->type == WEIR__JSON_KEY) {
            here = step_into(value, &path, &path_size);
            if (here)
                break;
            code = weir__json_reader_skip(reader, err);
            if (code != WEIR_OK)
                return code;
        }
        if (code != WEIR_OK || !here)
            return code;
        code = weir__json_reader_next(reader, value, err);
        if (code == WEIR_OK && path == NULL) {
            *exists = value->type == WEIR__JSON_STRING;
            return WEIR_OK;
        }
    }
    return code;
}

// Finds the string that a rule is about; it becomes the subject.
static int find(weir__rules *rules, const rule *filter, const char *data, size_t size, place *found,
                weir_error *err)
{
    weir__json_reader reader;
    weir__json_reader_init(&reader, data, size, 0);
    weir__json_token value;
    int code =
        find_in(&reader, weir__text_string(&filter->field), filter->field.size, &value, &found->exists, err);
    if (code == WEIR_OK && found->exists) {
        found->begin = (size_t)value.offset;
        found->end = string_end(data, found->begin);
        WEIR_ASSERT(found->end <= size);
        weir__text_clear(&rules->subject);
        weir__text_append(&rules->subject, value.text, value.size);
        code = rules->subject.failed ? no_memory(err) : WEIR_OK;
    }
    weir__json_reader_fini(&reader);
    return code;
}

static int redact(weir__rules *rules, const rule *filter, const char *data, size_t size, const place *where,
                  weir__text *redacted, weir_error *err)
{
    weir__text *const spare = &rules->spare; // `data` may be what `redacted` holds
    weir__text_clear(spare);
    weir__text_append(spare, data, where->begin);
    weir__text_append(spare, filter->replacement_raw.data, filter->replacement_raw.size);
    weir__text_append(spare, data + where->end, size - where->end);
    if (spare->failed)
        return no_memory(err);
    const weir__text swapped = *redacted;
    *redacted = *spare;
    *spare = swapped;
    return WEIR_OK;
}

static bool is_about(const rule *filter, const char *bucket_id)
{
    return filter->enabled &&
           strncmp(bucket_id, weir__text_string(&filter->bucket_prefix), filter->bucket_prefix.size) == 0;
}

int weir__rules_apply(weir__rules *rules, const char *bucket_id, const char *data, size_t data_size,
                      weir__text *redacted, weir__privacy_verdict *verdict, weir_error *err)
{
    *verdict = WEIR__PRIVACY_KEEP;
    weir__text_clear(redacted);
    for (size_t i = 0; i < rules->count && *verdict != WEIR__PRIVACY_DROP; i++) {
        const rule *const filter = &rules->rules[i];
        if (!is_about(filter, bucket_id))
            continue;
        place where = {0};
        bool yes = false;
        int code = find(rules, filter, data, data_size, &where, err);
        if (code == WEIR_OK && where.exists)
            code = matches(rules, filter, &yes, err);
        if (code == WEIR_OK && yes && !filter->drops)
            code = redact(rules, filter, data, data_size, &where, redacted, err);
        if (code != WEIR_OK)
            return code;
        if (!yes)
            continue;
        *verdict = filter->drops ? WEIR__PRIVACY_DROP : WEIR__PRIVACY_REDACTED;
        data = filter->drops ? data : redacted->data;
        data_size = filter->drops ? data_size : redacted->size;
    }
    return WEIR_OK;
}
