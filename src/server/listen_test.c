// SPDX-License-Identifier: MIT
//
// Listen addresses: parsed, printed, bound.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/listen.h"

static void addresses_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed, *host;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:9347", "127.0.0.1:9347", "127.0.0.1", true},
        {"localhost:0", "127.0.0.1:0", "127.0.0.1", true},
        {"[::1]:80", "[::1]:80", "::1", true},
        {"0.0.0.0:65535", "0.0.0.0:65535", "0.0.0.0", false},
        {"[::]:1", "[::]:1", "::", false},
        {"192.168.1.2:1", "192.168.1.2:1", "192.168.1.2", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir__address address;
        char text[WEIR__ADDRESS_SIZE];
        assert_int_equal(weir__address_parse(cases[i].text, &address, NULL), WEIR_OK);
        weir__address_format((const struct sockaddr *)&address.storage, text);
        assert_string_equal(text, cases[i].printed);
        weir__address_host((const struct sockaddr *)&address.storage, text);
        assert_string_equal(text, cases[i].host);
        assert_int_equal(weir__address_is_loopback(&address), cases[i].loopback);
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",        "9347",         ":9347",       "127.0.0.1",    "127.0.0.1:",
        "::1:80",  "[::1]",        "[::1:80",     "127.0.0.1:-1", "127.0.0.1:65536",
        "host:80", "127.0.0.1:8x", "[1.2.3.4]:1", "[]:1",         "127.1:80"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        weir__address address;
        const int code = weir__address_parse(wrong[i], &address, NULL);
        if (code != WEIR_INVALID)
            fail_msg("'%s': got %d", wrong[i], code);
    }
}

static void a_taken_port_is_named(void **state)
{
    (void)state;
    weir__address address, same;
    weir_error err = WEIR_ERROR_INIT;
    char text[WEIR__ADDRESS_SIZE];
    int fd = -1, second = -1;
    assert_int_equal(weir__address_parse("127.0.0.1:0", &address, NULL), WEIR_OK);
    assert_int_equal(weir__listen(&address, &fd, &err), WEIR_OK);
    weir__address_format((const struct sockaddr *)&address.storage, text);
    assert_string_not_equal(text, "127.0.0.1:0");
    assert_int_equal(weir__address_parse(text, &same, NULL), WEIR_OK);
    assert_int_equal(weir__listen(&same, &second, &err), WEIR_EXISTS);
    assert_int_equal(second, -1);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(close(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_come_back_as_they_were),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(a_taken_port_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
