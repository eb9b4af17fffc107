// SPDX-License-Identifier: MIT
//
// A reader by recursive descent that looks at most three bytes ahead. All bytes are passed by advance(), which
// counts lines and columns; so every complaint knows where it is.
//
// Who may add to a table depends on how it was made: by a header, by a longer header (it may get one of its
// own once), by a dotted key (only keys of the same section add to it), or inline (nobody). `section` is the
// number of the header, or of the inline table, under which a dotted key stood.
#include "cli/toml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/visible.h"

enum { end_of_text = -1, sentence_size = 400, quote_size = 80, number_size = 128 };

enum made { made_by_value, made_by_header, made_by_longer_header, made_by_dotted_key, made_inline };

struct weir__toml_piece {
    struct weir__toml_piece *next;
    _Alignas(max_align_t) char bytes[];
};

typedef struct reader {
    weir__toml_document *document;
    const char *at, *end;
    unsigned line, column;
    unsigned section, sections; // the current one, and how many there were
    unsigned depth;
    size_t values;
    weir_error *err;
} reader;

// A part of a key, and where it stands.
typedef struct key_part {
    const char *text;
    unsigned line, column;
} key_part;

// ------------------------------------------------------------------------------------------------ complaints

static int complain_at(const weir__toml_document *document, unsigned line, unsigned column, weir_error *err,
                       const char *format, va_list args)
{
    char sentence[sentence_size];
    vsnprintf(sentence, sizeof sentence, format, args);
    return weir__error_set(err, WEIR_INVALID, "%s:%u:%u: %s", document->name, line, column, sentence);
}

static int complain(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int complain(const reader *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int code = complain_at(r->document, r->line, r->column, r->err, format, args);
    va_end(args);
    return code;
}

static int complain_key(const reader *r, key_part key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int complain_key(const reader *r, key_part key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int code = complain_at(r->document, key.line, key.column, r->err, format, args);
    va_end(args);
    return code;
}

int weir__toml_complain(const weir__toml_document *document, const weir__toml *at, weir_error *err,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int code = complain_at(document, at->line, at->column, err, format, args);
    va_end(args);
    return code;
}

static int no_memory(const reader *r)
{
    return weir__error_set(r->err, WEIR_NOMEM, "not enough memory to read %s", r->document->name);
}

// -------------------------------------------------------------------------------------------------- the text

static int peek_behind(const reader *r, size_t distance)
{
    return (size_t)(r->end - r->at) > distance ? (unsigned char)r->at[distance] : end_of_text;
}

static int peek(const reader *r)
{
    return peek_behind(r, 0);
}

static void advance(reader *r, size_t count)
{
    for (; count > 0; count--, r->at++) {
        const unsigned char c = (unsigned char)*r->at;
        if (c == '\n') {
            r->line++;
            r->column = 1;
        } else if ((c & 0xC0) != 0x80) { // not the second byte of a character
            r->column++;
        }
    }
}

static bool looking_at(const reader *r, const char *text)
{
    const size_t size = strlen(text);
    return (size_t)(r->end - r->at) >= size && memcmp(r->at, text, size) == 0;
}

// The bytes of the newline here, 0 when there is none.
static size_t newline_size(const reader *r)
{
    return peek(r) == '\n' ? 1 : looking_at(r, "\r\n") ? 2 : 0;
}

static bool is_control(int c)
{
    return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7F;
}

static void skip_blanks(reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t')
        advance(r, 1);
}

static int skip_comment(reader *r)
{
    if (peek(r) != '#')
        return WEIR_OK;
    while (peek(r) != end_of_text && newline_size(r) == 0) {
        if (is_control(peek(r)))
            return complain(r, "a control character (0x%02x) in a comment", (unsigned)peek(r));
        advance(r, 1);
    }
    return WEIR_OK;
}

// Blanks, comments and newlines.
static int skip_lines(reader *r)
{
    for (;;) {
        skip_blanks(r);
        const int code = skip_comment(r);
        const size_t newline = newline_size(r);
        if (code != WEIR_OK || newline == 0)
            return code;
        advance(r, newline);
    }
}

// What stands here, to be quoted in a complaint: the word, or one character.
static const char *found_here(const reader *r, char out[quote_size])
{
    char word[quote_size / 2];
    size_t size = 0;
    if (peek(r) == end_of_text)
        return "the end of the file";
    if (newline_size(r) > 0)
        return "the end of the line";
    while (size + 1 < sizeof word && size < (size_t)(r->end - r->at) &&
           strchr(" \t\r\n,]}#=", r->at[size]) == NULL)
        size++;
    size = size > 0 ? size : 1;
    memcpy(word, r->at, size);
    word[size] = '\0';
    out[0] = '"';
    weir__visible_quote(word, out + 1, quote_size - 2);
    const size_t length = strlen(out);
    out[length] = '"';
    out[length + 1] = '\0';
    return out;
}

static int end_line(reader *r, const char *behind)
{
    char found[quote_size];
    skip_blanks(r);
    const int code = skip_comment(r);
    const size_t newline = newline_size(r);
    if (code != WEIR_OK)
        return code;
    if (newline == 0 && peek(r) != end_of_text)
        return complain(r, "%s behind %s, where the line should end", found_here(r, found), behind);
    advance(r, newline);
    return WEIR_OK;
}

// -------------------------------------------------------------------------------------------------- the tree

static void *allocate(reader *r, size_t size)
{
    struct weir__toml_piece *const piece = malloc(sizeof *piece + size);
    if (piece == NULL)
        return NULL;
    piece->next = r->document->pieces;
    r->document->pieces = piece;
    memset(piece->bytes, 0, size);
    return piece->bytes;
}

// Hands over what was collected, as a string that lives as long as the document.
static int keep_text(reader *r, weir__text *text, const char **kept)
{
    char *const copy = text->failed ? NULL : allocate(r, text->size + 1);
    if (copy != NULL && text->size > 0)
        memcpy(copy, text->data, text->size);
    weir__text_free(text);
    *kept = copy;
    return copy != NULL ? WEIR_OK : no_memory(r);
}

// A new member of `parent` (NULL: the root).
static int add_node(reader *r, weir__toml *parent, key_part key, weir__toml **node)
{
    if (++r->values > WEIR__TOML_VALUES_MAX)
        return weir__error_set(r->err, WEIR_TOOBIG, "%s:%u:%u: more than %d values", r->document->name,
                               key.line, key.column, WEIR__TOML_VALUES_MAX);
    weir__toml *const added = allocate(r, sizeof *added);
    *node = added;
    if (added == NULL)
        return no_memory(r);
    *added = (weir__toml){.key = key.text, .line = key.line, .column = key.column, .section = r->section};
    if (parent != NULL && parent->last != NULL)
        parent->last->next = added;
    else if (parent != NULL)
        parent->first = added;
    if (parent != NULL)
        parent->last = added;
    return WEIR_OK;
}

static weir__toml *find_member(const weir__toml *table, const char *key)
{
    WEIR_ASSERT(key != NULL);
    for (weir__toml *member = table->first; member != NULL; member = member->next) {
        if (strcmp(member->key, key) == 0)
            return member;
    }
    return NULL;
}

const weir__toml *weir__toml_find(const weir__toml *table, const char *key)
{
    return find_member(table, key);
}

const char *weir__toml_type_name(weir__toml_type type)
{
    static const char *const names[] = {
        [WEIR__TOML_TABLE] = "a table",      [WEIR__TOML_STRING] = "a string",
        [WEIR__TOML_INTEGER] = "an integer", [WEIR__TOML_FLOAT] = "a number with a fraction",
        [WEIR__TOML_BOOLEAN] = "a boolean",  [WEIR__TOML_ARRAY] = "an array",
    };
    return names[type];
}

// --------------------------------------------------------------------------------------------------- strings

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const int lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void add_code_point(weir__text *text, uint32_t c)
{
    if (c < 0x80) {
        weir__text_char(text, (char)c);
        return;
    }
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
    weir__text_char(text, (char)(first[more] | (c >> (6 * more))));
    for (int i = more - 1; i >= 0; i--)
        weir__text_char(text, (char)(0x80 | ((c >> (6 * i)) & 0x3F)));
}

// \u00e9 and \U0001F600; `digits` are behind the two bytes here.
static int read_code_point(reader *r, size_t digits, weir__text *text)
{
    uint32_t c = 0;
    for (size_t i = 0; i < digits; i++) {
        const int digit = hex_digit(peek_behind(r, 2 + i));
        if (digit < 0)
            return complain(r, "\\%c takes %zu hexadecimal digits", peek_behind(r, 1), digits);
        c = c << 4 | (uint32_t)digit;
    }
    if (c == 0)
        return complain(r, "a NUL cannot be part of a string here");
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return complain(r, "%x is not the number of a character", (unsigned)c);
    add_code_point(text, c);
    advance(r, 2 + digits);
    return WEIR_OK;
}

static int read_escape(reader *r, weir__text *text)
{
    static const char letters[] = "btnfr\"\\";
    static const char meanings[] = "\b\t\n\f\r\"\\";
    const int c = peek_behind(r, 1);
    const char *const letter = c > 0 ? strchr(letters, c) : NULL;
    if (c == 'u' || c == 'U')
        return read_code_point(r, c == 'u' ? 4 : 8, text);
    if (letter == NULL)
        return complain(r, "an escape that TOML does not have; a backslash itself is \\\\, or use '…'");
    weir__text_char(text, meanings[letter - letters]);
    advance(r, 2);
    return WEIR_OK;
}

// A backslash at the end of a line takes away all blanks and newlines up to the next character. True when it
// was one.
static bool skip_line_ending_backslash(reader *r)
{
    size_t blanks = 1;
    while (peek_behind(r, blanks) == ' ' || peek_behind(r, blanks) == '\t')
        blanks++;
    const int next = peek_behind(r, blanks);
    if (next != '\n' && !(next == '\r' && peek_behind(r, blanks + 1) == '\n'))
        return false;
    advance(r, blanks);
    for (size_t newline = newline_size(r); newline > 0; newline = newline_size(r)) {
        advance(r, newline);
        skip_blanks(r);
    }
    return true;
}

// One character, escape or newline of a string that `quote` encloses.
static int read_in_string(reader *r, int quote, bool many_lines, weir__text *text)
{
    const size_t newline = newline_size(r);
    if (peek(r) == end_of_text || (newline > 0 && !many_lines))
        return complain(r, "this string has no end: %s is missing", quote == '"' ? "\"" : "'");
    if (newline > 0) {
        weir__text_append(text, r->at, newline);
        advance(r, newline);
        return WEIR_OK;
    }
    if (is_control(peek(r)))
        return complain(r, "a control character (0x%02x) in a string", (unsigned)peek(r));
    if (quote == '"' && peek(r) == '\\')
        return many_lines && skip_line_ending_backslash(r) ? WEIR_OK : read_escape(r, text);
    weir__text_char(text, *r->at);
    advance(r, 1);
    return WEIR_OK;
}

// Behind the opening three quotes. At the end up to five stand together: two of the text, three that close.
static int read_many_lines(reader *r, int quote, weir__text *text)
{
    advance(r, newline_size(r));
    for (;;) {
        size_t quotes = 0;
        while (quotes < 5 && peek_behind(r, quotes) == quote)
            quotes++;
        const size_t of_text = quotes < 3 ? quotes : quotes - 3;
        weir__text_append(text, r->at, of_text);
        advance(r, quotes);
        if (quotes >= 3)
            return WEIR_OK;
        const int code = quotes > 0 ? WEIR_OK : read_in_string(r, quote, true, text);
        if (code != WEIR_OK)
            return code;
    }
}

static int read_one_line(reader *r, int quote, weir__text *text)
{
    while (peek(r) != quote) {
        const int code = read_in_string(r, quote, false, text);
        if (code != WEIR_OK)
            return code;
    }
    advance(r, 1);
    return WEIR_OK;
}

static int read_string(reader *r, bool may_have_lines, const char **string)
{
    weir__text text = {0};
    const int quote = peek(r);
    const bool many_lines = peek_behind(r, 1) == quote && peek_behind(r, 2) == quote;
    if (many_lines && !may_have_lines)
        return complain(r, "a key cannot be a string of several lines");
    advance(r, many_lines ? 3 : 1);
    const int code = many_lines ? read_many_lines(r, quote, &text) : read_one_line(r, quote, &text);
    if (code == WEIR_OK)
        return keep_text(r, &text, string);
    weir__text_free(&text);
    return code;
}

// --------------------------------------------------------------------------------------------------- numbers

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Copies a number without its underscores, each of which must stand between two digits.
static bool strip_underscores(const char *word, size_t size, char out[number_size])
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (word[i] != '_') {
            out[used++] = word[i];
        } else if (i == 0 || i + 1 == size || hex_digit((unsigned char)word[i - 1]) < 0 ||
                   hex_digit((unsigned char)word[i + 1]) < 0) {
            return false;
        }
    }
    out[used] = '\0';
    return true;
}

// 2026-01-31…, 12:00…
static bool looks_like_date(const char *text)
{
    size_t digits = 0;
    while (is_digit(text[digits]))
        digits++;
    return (digits == 4 && text[digits] == '-') || (digits == 2 && text[digits] == ':');
}

// 0x…, 0o…, 0b…
static bool parse_prefixed(const char *text, int64_t *value)
{
    const int base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2;
    char *end = NULL;
    if (hex_digit((unsigned char)text[2]) < 0)
        return false;
    errno = 0;
    *value = strtoll(text + 2, &end, base);
    return *end == '\0' && errno == 0;
}

static const char *skip_digits(const char *at)
{
    while (is_digit(*at))
        at++;
    return at;
}

// Whether it is a decimal number, and whether a whole one.
static bool is_decimal(const char *text, bool *whole)
{
    const char *const first = text + (*text == '+' || *text == '-');
    const char *at = skip_digits(first);
    *whole = *at == '\0';
    if (at == first || (*first == '0' && at > first + 1))
        return false;
    if (*at == '.') {
        const char *const fraction = ++at;
        at = skip_digits(at);
        if (at == fraction)
            return false;
    }
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '+' || at[1] == '-');
        const char *const exponent = at;
        at = skip_digits(at);
        if (at == exponent)
            return false;
    }
    return *at == '\0';
}

static int read_decimal(reader *r, const char *text, weir__toml *value)
{
    const char *const unsigned_text = text + (*text == '+' || *text == '-');
    bool whole = false;
    if (strcmp(unsigned_text, "inf") == 0 || strcmp(unsigned_text, "nan") == 0) {
        value->type = WEIR__TOML_FLOAT;
        value->number = unsigned_text[0] == 'n' ? NAN : *text == '-' ? -INFINITY : INFINITY;
        return WEIR_OK;
    }
    if (!is_decimal(text, &whole))
        return complain(r, "\"%s\" is no number and no other value; text stands in quotes", text);
    errno = 0;
    value->type = whole ? WEIR__TOML_INTEGER : WEIR__TOML_FLOAT;
    if (whole)
        value->integer = strtoll(text, NULL, 10);
    else
        value->number = strtod(text, NULL);
    if (whole && errno == ERANGE)
        return complain(r, "%s does not fit into 64 bits", text);
    return WEIR_OK;
}

// true, false, and everything that begins like a number.
static int read_word(reader *r, weir__toml *value)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.:";
    char found[quote_size];
    char text[number_size];
    size_t size = 0;
    while (peek_behind(r, size) > 0 && strchr(letters, peek_behind(r, size)) != NULL)
        size++;
    if (size == 0)
        return complain(r, "a value should stand here, not %s", found_here(r, found));
    if (size >= sizeof text || !strip_underscores(r->at, size, text))
        return complain(r, "%s is no value; text stands in quotes", found_here(r, found));
    int code = WEIR_OK;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        value->type = WEIR__TOML_BOOLEAN;
        value->boolean = text[0] == 't';
    } else if (looks_like_date(text)) {
        code = complain(r, "dates and times are not understood here; write it as a string, in quotes");
    } else if (text[0] == '0' && text[1] != '\0' && strchr("xob", text[1]) != NULL) {
        value->type = WEIR__TOML_INTEGER;
        if (!parse_prefixed(text, &value->integer))
            code = complain(r, "\"%s\" is no number that fits into 64 bits", text);
    } else {
        code = read_decimal(r, text, value);
    }
    advance(r, size);
    return code;
}

// ------------------------------------------------------------------------------------------ arrays and tables

static int read_value(reader *r, weir__toml *value);
static int read_pair(reader *r, weir__toml *table);

static int read_array(reader *r, weir__toml *array)
{
    char found[quote_size];
    array->type = WEIR__TOML_ARRAY;
    advance(r, 1);
    for (;;) {
        weir__toml *element = NULL;
        int code = skip_lines(r);
        if (code == WEIR_OK && peek(r) == ']')
            break;
        if (code == WEIR_OK)
            code = add_node(r, array, (key_part){"", r->line, r->column}, &element);
        if (code == WEIR_OK)
            code = read_value(r, element);
        if (code == WEIR_OK)
            code = skip_lines(r);
        if (code != WEIR_OK)
            return code;
        if (peek(r) != ',' && peek(r) != ']')
            return complain(r, "a comma or ] should stand here in the array of line %u, not %s", array->line,
                            found_here(r, found));
        if (peek(r) == ',')
            advance(r, 1);
    }
    advance(r, 1);
    return WEIR_OK;
}

static int read_members(reader *r, weir__toml *table)
{
    char found[quote_size];
    skip_blanks(r);
    if (peek(r) == '}')
        return WEIR_OK;
    for (;;) {
        const int code = read_pair(r, table);
        if (code != WEIR_OK)
            return code;
        skip_blanks(r);
        if (peek(r) == '}')
            return WEIR_OK;
        if (peek(r) != ',')
            return complain(r, "a comma or } should stand here, not %s", found_here(r, found));
        advance(r, 1);
        skip_blanks(r);
    }
}

static int read_inline_table(reader *r, weir__toml *table)
{
    const unsigned section = r->section;
    table->type = WEIR__TOML_TABLE;
    table->made = made_inline;
    advance(r, 1);
    r->section = ++r->sections;
    const int code = read_members(r, table);
    r->section = section;
    if (code == WEIR_OK)
        advance(r, 1);
    return code;
}

static int read_value(reader *r, weir__toml *value)
{
    const int c = peek(r);
    int code = WEIR_OK;
    if (c == '"' || c == '\'') {
        value->type = WEIR__TOML_STRING;
        return read_string(r, true, &value->string);
    }
    if (c != '[' && c != '{')
        return read_word(r, value);
    if (++r->depth > WEIR__TOML_DEPTH_MAX)
        return complain(r, "arrays and tables are nested more than %d deep", WEIR__TOML_DEPTH_MAX);
    code = c == '[' ? read_array(r, value) : read_inline_table(r, value);
    r->depth--;
    return code;
}

// One part of a key.
static int read_key(reader *r, key_part *key)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    char found[quote_size];
    weir__text text = {0};
    size_t size = 0;
    *key = (key_part){NULL, r->line, r->column};
    if (peek(r) == '"' || peek(r) == '\'')
        return read_string(r, false, &key->text);
    while (peek_behind(r, size) > 0 && strchr(bare, peek_behind(r, size)) != NULL)
        size++;
    if (size == 0)
        return complain(r, "a key should stand here, not %s", found_here(r, found));
    weir__text_append(&text, r->at, size);
    advance(r, size);
    return keep_text(r, &text, &key->text);
}

// Down into the table `key` of *table, which a header or a dotted key names on its way; makes it when missing.
static int descend(reader *r, key_part key, enum made made, weir__toml **table)
{
    weir__toml *found = find_member(*table, key.text);
    const bool dotted = made == made_by_dotted_key;
    if (found == NULL) {
        const int code = add_node(r, *table, key, &found);
        if (code != WEIR_OK)
            return code;
        found->type = WEIR__TOML_TABLE;
        found->made = (int)made;
    } else if (found->type != WEIR__TOML_TABLE) {
        return complain_key(r, key, "%s is %s already, in line %u", key.text,
                            weir__toml_type_name(found->type), found->line);
    } else if (found->made == made_inline || (dotted && found->made != made_by_dotted_key) ||
               (dotted && found->section != r->section)) {
        return complain_key(r, key, "the table %s is complete already, in line %u", key.text, found->line);
    }
    *table = found;
    return WEIR_OK;
}

// key = value
static int read_pair(reader *r, weir__toml *table)
{
    char found[quote_size];
    key_part key = {0};
    for (;;) {
        int code = read_key(r, &key);
        if (code != WEIR_OK)
            return code;
        skip_blanks(r);
        if (peek(r) == '.') {
            code = descend(r, key, made_by_dotted_key, &table);
            if (code != WEIR_OK)
                return code;
            advance(r, 1);
            skip_blanks(r);
            continue;
        }
        if (peek(r) != '=')
            return complain(r, "= should stand behind the key %s, not %s", key.text, found_here(r, found));
        const weir__toml *const earlier = find_member(table, key.text);
        weir__toml *value = NULL;
        if (earlier != NULL)
            return complain_key(r, key, "%s is given twice, first in line %u", key.text, earlier->line);
        code = add_node(r, table, key, &value);
        if (code != WEIR_OK)
            return code;
        advance(r, 1);
        skip_blanks(r);
        return read_value(r, value);
    }
}

// The table that the last part of a header names.
static int begin_table(reader *r, key_part key, weir__toml **table)
{
    weir__toml *const found = find_member(*table, key.text);
    if (found != NULL && (found->type != WEIR__TOML_TABLE || found->made != made_by_longer_header))
        return complain_key(r, key, "%s is given twice, first in line %u", key.text, found->line);
    const int code = descend(r, key, made_by_header, table);
    (*table)->made = made_by_header;
    return code;
}

// [key.key]
static int read_header(reader *r, weir__toml **table)
{
    char found[quote_size];
    key_part key = {0};
    int code = WEIR_OK;
    *table = r->document->root;
    r->section = ++r->sections;
    if (looking_at(r, "[["))
        return complain(r, "arrays of tables, [[…]], are not understood here");
    advance(r, 1);
    for (;;) {
        skip_blanks(r);
        code = read_key(r, &key);
        if (code != WEIR_OK)
            return code;
        skip_blanks(r);
        if (peek(r) != '.')
            break;
        code = descend(r, key, made_by_longer_header, table);
        if (code != WEIR_OK)
            return code;
        advance(r, 1);
    }
    if (peek(r) != ']')
        return complain(r, "] should stand behind the table's name, not %s", found_here(r, found));
    code = begin_table(r, key, table);
    if (code != WEIR_OK)
        return code;
    advance(r, 1);
    return end_line(r, "the table's name");
}

static int read_document(reader *r)
{
    weir__toml *table = NULL;
    int code = add_node(r, NULL, (key_part){"", 1, 1}, &table);
    r->document->root = table;
    while (code == WEIR_OK && (code = skip_lines(r)) == WEIR_OK && peek(r) != end_of_text) {
        if (peek(r) == '[') {
            code = read_header(r, &table);
        } else {
            code = read_pair(r, table);
            if (code == WEIR_OK)
                code = end_line(r, "the value");
        }
    }
    return code;
}

static int check_utf8(reader *r)
{
    reader ahead = *r;
    while (ahead.at < ahead.end) {
        const size_t length = weir__utf8_length(ahead.at, (size_t)(ahead.end - ahead.at));
        if (length == 0)
            return complain(&ahead, "the byte 0x%02x is not UTF-8", (unsigned)peek(&ahead));
        advance(&ahead, length);
    }
    return WEIR_OK;
}

int weir__toml_parse(const char *name, const char *text, size_t size, weir__toml_document *document,
                     weir_error *err)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    *document = (weir__toml_document){.name = name};
    if (size > WEIR__TOML_BYTES_MAX)
        return weir__error_set(err, WEIR_TOOBIG, "%s is larger than %d bytes", name, WEIR__TOML_BYTES_MAX);
    reader r = {.document = document, .at = text, .end = text + size, .line = 1, .column = 1, .err = err};
    if (looking_at(&r, byte_order_mark))
        r.at += sizeof byte_order_mark - 1;
    int code = check_utf8(&r);
    if (code == WEIR_OK)
        code = read_document(&r);
    if (code != WEIR_OK)
        weir__toml_free(document);
    return code;
}

int weir__toml_read(const char *path, weir__toml_document *document, weir_error *err)
{
    char *text = NULL;
    size_t size = 0;
    *document = (weir__toml_document){.name = path};
    int code = weir__fs_read_file(path, WEIR__TOML_BYTES_MAX, &text, &size, err);
    if (code == WEIR_OK)
        code = weir__toml_parse(path, text, size, document, err);
    if (text != NULL)
        explicit_bzero(text, size); // there may be a key in it
    free(text);
    return code;
}

void weir__toml_free(weir__toml_document *document)
{
    while (document->pieces != NULL) {
        struct weir__toml_piece *const piece = document->pieces;
        document->pieces = piece->next;
        free(piece);
    }
    document->root = NULL;
}
