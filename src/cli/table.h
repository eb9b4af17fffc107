// SPDX-License-Identifier: MIT
//
// A table that fits. Columns are as wide as their widest cell; when that is more than the screen has, those
// marked elastic give way, the widest first, and their cells end in an ellipsis. Without a limit (output is
// no terminal) nothing is cut. Cells are text from elsewhere and are made visible (visible.h). One thread.
//
//     weir__table table;
//     weir__table_init(&table, 3, (weir__column[]){{"ID", 0}, {"NAME", WEIR__COLUMN_ELASTIC}, {"STEPS",
//     WEIR__COLUMN_RIGHT}}); weir__table_cell(&table, WEIR__STYLE_DIM, "%.8s", id);   // row by row, from
//     left to right weir__table_print(&table, &cli->out); weir__table_fini(&table);
#ifndef WEIR_CLI_TABLE_H
#define WEIR_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/screen.h"

enum {
    WEIR__TABLE_COLUMNS_MAX = 12,
    WEIR__TABLE_ELASTIC_MIN = 6, // an elastic column gives way down to this
};

typedef enum weir__column_flags {
    WEIR__COLUMN_LEFT = 0,
    WEIR__COLUMN_RIGHT = 1,   // numbers
    WEIR__COLUMN_ELASTIC = 2, // may be cut
    WEIR__COLUMN_SPARE = 4,   // left out where the others need its place
} weir__column_flags;

typedef struct weir__column {
    const char *title; // NULL in every column: no line of titles
    int flags;
} weir__column;

typedef struct weir__cell {
    char *text;
    weir__style style;
} weir__cell;

typedef struct weir__table {
    weir__column columns[WEIR__TABLE_COLUMNS_MAX];
    size_t columns_count;
    weir__cell *cells;
    size_t cells_count, cells_capacity;
    bool failed; // an allocation failed
} weir__table;

void weir__table_init(weir__table *table, size_t columns_count, const weir__column *columns);
void weir__table_cell(weir__table *table, weir__style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void weir__table_print(const weir__table *table, weir__screen *screen);
void weir__table_fini(weir__table *table);

#endif
