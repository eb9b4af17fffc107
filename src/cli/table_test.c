// SPDX-License-Identifier: MIT
//
// Tables at several widths; the screen's collected text is looked at instead of a terminal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/table.h"
#include "cli/visible.h"

static void check(size_t columns, bool colour, const char *wanted)
{
    weir__screen screen = {.fd = -1, .columns = columns, .colour = colour, .unicode = false};
    weir__table table;
    weir__table_init(&table, 3,
                     (weir__column[]){{"ID", WEIR__COLUMN_LEFT},
                                      {"NAME", WEIR__COLUMN_ELASTIC},
                                      {"STEPS", WEIR__COLUMN_RIGHT}});
    weir__table_cell(&table, WEIR__STYLE_DIM, "%s", "3f2a");
    weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", "a long name\n");
    weir__table_cell(&table, WEIR__STYLE_PLAIN, "%d", 12);
    weir__table_cell(&table, WEIR__STYLE_DIM, "%s", "77");
    weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", "");
    weir__table_cell(&table, WEIR__STYLE_PLAIN, "%d", 3);
    weir__table_print(&table, &screen);
    assert_string_equal(weir__text_string(&screen.text), wanted);
    weir__table_fini(&table);
    weir__screen_fini(&screen);
}

static void test_whole(void **state)
{
    (void)state;
    check(WEIR__COLUMNS_ALL, false,
          "ID    NAME           STEPS\n"
          "3f2a  a long name\\n     12\n"
          "77                       3\n");
}

static void test_cut(void **state)
{
    (void)state;
    check(22, false,
          "ID    NAME       STEPS\n"
          "3f2a  a long n~     12\n"
          "77                   3\n");
}

static void test_narrower_than_possible(void **state)
{
    (void)state;
    check(5, false,
          "ID    NAME    STEPS\n"
          "3f2a  a lon~     12\n"
          "77                3\n");
}

static void test_spare_columns_go_first(void **state)
{
    (void)state;
    static const struct {
        size_t columns;
        const char *wanted;
    } cases[] = {
        {22, "NAME    STARTED  STEPS\na lon~  12:00       12\n"},
        {21, "NAME         STEPS\na long name     12\n"},
        {17, "NAME        STEPS\na long na~     12\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir__screen screen = {.fd = -1, .columns = cases[i].columns};
        weir__table table;
        weir__table_init(&table, 3,
                         (weir__column[]){{"NAME", WEIR__COLUMN_ELASTIC},
                                          {"STARTED", WEIR__COLUMN_SPARE},
                                          {"STEPS", WEIR__COLUMN_RIGHT}});
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", "a long name");
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", "12:00");
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%d", 12);
        weir__table_print(&table, &screen);
        assert_string_equal(weir__text_string(&screen.text), cases[i].wanted);
        weir__table_fini(&table);
        weir__screen_fini(&screen);
    }
}

static void test_colour(void **state)
{
    (void)state;
    check(WEIR__COLUMNS_ALL, true,
          "\x1b[1mID\x1b[0m    \x1b[1mNAME\x1b[0m           \x1b[1mSTEPS\x1b[0m\n"
          "\x1b[2m3f2a\x1b[0m  a long name\\n     12\n"
          "\x1b[2m77\x1b[0m                       3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_narrower_than_possible),
        cmocka_unit_test(test_spare_columns_go_first),
        cmocka_unit_test(test_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
