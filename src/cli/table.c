// SPDX-License-Identifier: MIT
//
// Cells are kept as they came; widths are found when the table is printed, because only the screen knows how
// a character will be shown. Shrinking takes one column of screen at a time from the widest elastic column,
// so that narrow ones stay whole. Spare columns go first: as a whole, from the right, where the others would not
// fit even when they are cut.
#include "cli/table.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/visible.h"

enum { gap = 2, cells_first = 64 };

#define LEFT_OUT SIZE_MAX // instead of a width

void weir__table_init(weir__table *table, size_t columns_count, const weir__column *columns)
{
    *table = (weir__table){.columns_count = columns_count};
    memcpy(table->columns, columns, columns_count * sizeof *columns);
}

void weir__table_fini(weir__table *table)
{
    for (size_t i = 0; i < table->cells_count; i++)
        free(table->cells[i].text);
    free(table->cells);
    *table = (weir__table){0};
}

static bool reserve(weir__table *table)
{
    if (table->failed || table->cells_count < table->cells_capacity)
        return !table->failed;
    const size_t capacity = table->cells_capacity > 0 ? table->cells_capacity * 2 : cells_first;
    weir__cell *const cells = reallocarray(table->cells, capacity, sizeof *cells);
    table->failed = cells == NULL;
    if (table->failed)
        return false; // cppcheck-suppress memleak ; nothing was allocated
    table->cells = cells;
    table->cells_capacity = capacity;
    return true;
}

void weir__table_cell(weir__table *table, weir__style style, const char *format, ...)
{
    if (!reserve(table))
        return;
    va_list args;
    weir__text text = {0};
    va_start(args, format);
    weir__text_vprintf(&text, format, args);
    va_end(args);
    weir__text_add(&text, "");
    char *const string = weir__text_take(&text);
    table->failed = string == NULL;
    if (string != NULL)
        table->cells[table->cells_count++] = (weir__cell){string, style};
}

static size_t columns_of(const char *string, const weir__screen *screen)
{
    return weir__visible_columns(string, strlen(string), screen->unicode);
}

// Leaves spare columns out while the rest does not fit, however it is cut. Returns the sum of what stays.
static size_t leave_out(const weir__table *table, size_t columns, size_t *widths, size_t sum)
{
    size_t least = sum;
    for (size_t c = 0; c < table->columns_count; c++)
        if ((table->columns[c].flags & WEIR__COLUMN_ELASTIC) != 0 && widths[c] > WEIR__TABLE_ELASTIC_MIN)
            least -= widths[c] - WEIR__TABLE_ELASTIC_MIN;
    for (size_t c = table->columns_count; c-- > 1 && least > columns;) {
        if ((table->columns[c].flags & WEIR__COLUMN_SPARE) == 0)
            continue;
        least -= widths[c] + gap;
        sum -= widths[c] + gap;
        widths[c] = LEFT_OUT;
    }
    return sum;
}

// The screen columns that each of the table's columns gets.
static void measure(const weir__table *table, const weir__screen *screen, size_t *widths)
{
    size_t sum = (table->columns_count - 1) * gap;
    for (size_t c = 0; c < table->columns_count; c++) {
        widths[c] = table->columns[c].title != NULL ? strlen(table->columns[c].title) : 0;
        for (size_t i = c; i < table->cells_count; i += table->columns_count) {
            const size_t width = columns_of(table->cells[i].text, screen);
            widths[c] = width > widths[c] ? width : widths[c];
        }
        sum += widths[c];
    }
    sum = leave_out(table, screen->columns, widths, sum);
    while (sum > screen->columns) {
        size_t widest = table->columns_count;
        for (size_t c = 0; c < table->columns_count; c++) {
            if ((table->columns[c].flags & WEIR__COLUMN_ELASTIC) != 0 &&
                widths[c] > WEIR__TABLE_ELASTIC_MIN &&
                (widest == table->columns_count || widths[c] > widths[widest]))
                widest = c;
        }
        if (widest == table->columns_count)
            return;
        widths[widest]--;
        sum--;
    }
}

static void pad(weir__screen *screen, size_t columns)
{
    weir__screen_printf(screen, "%*s", (int)columns, "");
}

// One cell. `*owed` is the padding that belongs before it; it is only written when something follows, so that no row
// ends in blanks.
static void print_cell(weir__screen *screen, const weir__cell *cell, size_t width, bool right, size_t *owed)
{
    if (width == LEFT_OUT)
        return;
    const size_t needed = columns_of(cell->text, screen);
    const size_t rest = needed < width ? width - needed : 0;
    if (needed == 0) {
        *owed += width + gap;
        return;
    }
    pad(screen, *owed + (right ? rest : 0));
    *owed = gap + (right ? 0 : rest);
    if (cell->style != WEIR__STYLE_PLAIN)
        weir__screen_style(screen, cell->style);
    weir__screen_visible(screen, cell->text, width);
    if (cell->style != WEIR__STYLE_PLAIN)
        weir__screen_style(screen, WEIR__STYLE_PLAIN);
}

static void print_titles(const weir__table *table, weir__screen *screen, const size_t *widths)
{
    size_t owed = 0;
    for (size_t c = 0; c < table->columns_count; c++) {
        char title[32];
        snprintf(title, sizeof title, "%s", table->columns[c].title);
        const weir__cell cell = {title, WEIR__STYLE_BOLD};
        print_cell(screen, &cell, widths[c], (table->columns[c].flags & WEIR__COLUMN_RIGHT) != 0, &owed);
    }
    weir__screen_add(screen, "\n");
}

void weir__table_print(const weir__table *table, weir__screen *screen)
{
    size_t widths[WEIR__TABLE_COLUMNS_MAX] = {0};
    size_t owed = 0;
    screen->text.failed |= table->failed;
    measure(table, screen, widths);
    if (table->columns[0].title != NULL)
        print_titles(table, screen, widths);
    for (size_t i = 0; i < table->cells_count; i++) {
        const size_t c = i % table->columns_count;
        print_cell(screen, &table->cells[i], widths[c], (table->columns[c].flags & WEIR__COLUMN_RIGHT) != 0,
                   &owed);
        if (c + 1 < table->columns_count)
            continue;
        owed = 0;
        weir__screen_add(screen, "\n");
    }
}
