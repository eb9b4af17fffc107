// SPDX-License-Identifier: MIT
//
// Word splitting: one pass over the string, the state is the open quote. A word exists as soon as one of its
// characters or quotes was seen, so '' is an (empty) word.
#include "runs/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"

typedef struct splitter {
    char **argv;
    size_t argc;
    size_t capacity;
    weir__text word;
    bool in_word;
    char quote; // ' or " while it is open
} splitter;

static bool end_word(splitter *words)
{
    if (!words->in_word)
        return true;
    words->in_word = false;
    if (words->argc + 2 > words->capacity) {
        const size_t capacity = words->capacity > 0 ? words->capacity * 2 : 8;
        char **const argv = reallocarray(words->argv, capacity, sizeof *argv);
        if (argv == NULL)
            return false;
        words->argv = argv;
        words->capacity = capacity;
    }
    char *const word = weir__text_take(&words->word);
    if (word == NULL)
        return false;
    words->argv[words->argc++] = word;
    words->argv[words->argc] = NULL;
    return true;
}

static void take(splitter *words, const char *bytes, size_t size)
{
    words->in_word = true;
    weir__text_append(&words->word, bytes, size);
}

// A backslash and what follows it; returns how many bytes that took. Within double quotes it protects only
// $ ` " \ and a newline.
static size_t take_escape(splitter *words, weir__span rest)
{
    const char next = rest.data[1];
    if (next == '\n')
        return 2;
    if (words->quote == '"' && strchr("$`\"\\", next) == NULL)
        take(words, rest.data, 1);
    take(words, rest.data + 1, 1);
    return 2;
}

// Consumes the beginning of `rest`; 0 when there is no memory.
static size_t advance(splitter *words, weir__span rest, bool quoting)
{
    const char c = rest.data[0];
    const size_t space = weir__span_space_length(rest);
    if (words->quote == '\0' && space > 0)
        return end_word(words) ? space : 0;
    if (quoting && c == '\\' && words->quote != '\'')
        return rest.size > 1 ? take_escape(words, rest) : 1;
    if (quoting && (c == '\'' || c == '"') && (words->quote == '\0' || words->quote == c)) {
        words->quote = words->quote == '\0' ? c : '\0';
        words->in_word = true;
        return 1;
    }
    take(words, rest.data, 1);
    return 1;
}

static bool ends_in_backslash(const char *command)
{
    size_t count = 0;
    for (size_t i = strlen(command); i > 0 && command[i - 1] == '\\'; i--)
        count++;
    return count % 2 == 1;
}

int weir__words_split(const char *command, char ***argv, size_t *argc, weir_error *err)
{
    *argv = NULL;
    *argc = 0;
    const bool quoting = strpbrk(command, "'\"\\") != NULL;
    splitter words = {.argv = calloc(8, sizeof(char *)), .capacity = 8};
    bool memory = words.argv != NULL;
    for (weir__span rest = weir__span_of(command); memory && rest.size > 0;) {
        const size_t length = advance(&words, rest, quoting);
        memory = length > 0;
        rest = weir__span_from(rest, length);
    }
    int rc = WEIR_OK;
    if (words.quote != '\0')
        rc = weir__error_set(err, WEIR_INVALID, "the command has a %c that is not closed: %s", words.quote,
                             command);
    else if (quoting && ends_in_backslash(command))
        rc = weir__error_set(err, WEIR_INVALID, "the command ends in a backslash: %s", command);
    else if (!memory || !end_word(&words))
        rc = weir__error_set(err, WEIR_NOMEM, "no memory for the words of a command");
    weir__text_free(&words.word);
    if (rc != WEIR_OK) {
        weir__words_free(words.argv);
        return rc;
    }
    *argv = words.argv;
    *argc = words.argc;
    return WEIR_OK;
}

void weir__words_free(char **argv)
{
    for (char **word = argv; word != NULL && *word != NULL; word++)
        free(*word);
    free(argv);
}
