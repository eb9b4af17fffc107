// SPDX-License-Identifier: MIT
//
// Files in forms: found wherever they stand, in memory and in a file, and forms that are none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "server/activity_multipart.h"

static const char type[] = "multipart/form-data; boundary=XX";

// The content found, malloc'd; NULL with the code when there is none.
static char *find(const weir_activity_input *body, const char *content_type, int *code)
{
    weir_activity_input part;
    weir_error err = WEIR_ERROR_INIT;
    *code = weir__multipart_find(body, content_type, "buckets", &part, &err);
    if (*code != WEIR_OK) {
        assert_int_not_equal(err.text[0], '\0');
        return NULL;
    }
    char *const found = calloc(1, (size_t)part.size + 1);
    assert_non_null(found);
    if (part.bytes != NULL)
        memcpy(found, part.bytes, (size_t)part.size);
    else
        assert_int_equal(pread(part.fd, found, (size_t)part.size, (off_t)part.offset), part.size);
    return found;
}

static void expect(const char *body, const char *content_type, const char *expected)
{
    int code = WEIR_OK;
    const weir_activity_input input = {.bytes = body, .fd = -1, .size = strlen(body)};
    char *const found = find(&input, content_type, &code);
    if (found == NULL || strcmp(found, expected) != 0)
        fail_msg("'%s': got '%s' (%d), expected '%s'", body, found != NULL ? found : "", code, expected);
    free(found);
}

static void expect_code(const char *body, const char *content_type, int expected)
{
    int code = WEIR_OK;
    const weir_activity_input input = {.bytes = body, .fd = -1, .size = strlen(body)};
    char *const found = find(&input, content_type, &code);
    if (code != expected)
        fail_msg("'%s': got %d '%s', expected %d", body, code, found != NULL ? found : "", expected);
    free(found);
}

static void content_types_are_told_apart(void **state)
{
    (void)state;
    assert_true(weir__multipart_is(type));
    assert_true(weir__multipart_is("Multipart/Form-Data"));
    assert_false(weir__multipart_is(NULL));
    assert_false(weir__multipart_is("multipart/form-data2"));
    assert_false(weir__multipart_is("application/json"));
}

static void the_file_is_found(void **state)
{
    (void)state;
    expect("--XX\r\nContent-Disposition: form-data; name=\"buckets.json\"; filename=\"b.json\"\r\n"
           "Content-Type: application/json\r\n\r\n{}\r\n--XX--\r\n",
           type, "{}");
    expect("--XX\r\ncontent-disposition:form-data;filename=\"name=buckets;\";name=buckets\r\n\r\n{\"a\":"
           "\r\n1}\r\n--XX--",
           type, "{\"a\":\r\n1}");
    expect("preamble\r\n--XX\r\n\r\nno name\r\n--XX \t\r\nContent-Disposition: form-data; "
           "name=bucketsjson\r\n\r\nno\r\n"
           "--XX\r\nX: y\r\nContent-Disposition: form-data; filename=\"\\\"\"; "
           "name=\"buckets\"\r\n\r\nyes\r\n--XX--",
           "multipart/form-data; charset=utf-8; boundary=\"XX\"", "yes");
    expect("--XX\r\nContent-Disposition: form-data; name=\"buckets\"\r\n\r\n\r\n--XX--", type, "");
}

static void other_bodies_are_refused(void **state)
{
    static const char head[] = "--XX\r\nContent-Disposition: form-data; name=\"buckets\"\r\n\r\n{}";
    (void)state;
    expect_code("--XX\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n{}\r\n--XX--", type,
                WEIR_MISMATCH);
    expect_code("--XX--\r\n", type, WEIR_MISMATCH);
    expect_code("", type, WEIR_INVALID);
    expect_code("--", type, WEIR_INVALID);
    expect_code("{}", type, WEIR_INVALID);
    expect_code(head, type, WEIR_INVALID);
    expect_code("--XX", type, WEIR_INVALID);
    expect_code("--XX\r\n", type, WEIR_INVALID);
    expect_code("--XXY\r\n\r\n\r\n--XX--", type, WEIR_INVALID);
    expect_code("--XX\r\nContent-Disposition: form-data; name=\"buckets", type, WEIR_INVALID);
    expect_code(head, "multipart/form-data", WEIR_INVALID);
    expect_code(head, "multipart/form-data; boundary=", WEIR_INVALID);
    expect_code(head, "multipart/form-data; boundary=\"XX", WEIR_INVALID);
    expect_code(head,
                "multipart/form-data; boundary="
                "01234567890123456789012345678901234567890123456789012345678901234567890",
                WEIR_INVALID);
}

// Contents of every length around the size of a window, with delimiter-like bytes in them, at an offset of a file.
static void a_delimiter_between_two_windows_is_found(void **state)
{
    (void)state;
    for (size_t size = (64 << 10) - 160; size < (64 << 10) + 16; size++) {
        weir__text text = {0};
        int code = WEIR_OK;
        weir__text_add(&text, "0123456--XX\r\nContent-Disposition: form-data; name=\"buckets\"\r\n\r\n");
        const size_t before = text.size;
        while (text.size < before + size)
            weir__text_char(&text, "\r\n--X"[text.size % 5]);
        weir__text_add(&text, "\r\n--XX--\r\n");
        FILE *const file = tmpfile();
        assert_non_null(file);
        assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
        assert_int_equal(fflush(file), 0);
        const weir_activity_input input = {.fd = fileno(file), .offset = 7, .size = text.size - 7};
        char *const found = find(&input, type, &code);
        assert_int_equal(code, WEIR_OK);
        assert_int_equal(strlen(found), size);
        assert_memory_equal(found, text.data + before, size);
        free(found);
        (void)fclose(file);
        weir__text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_types_are_told_apart),
        cmocka_unit_test(the_file_is_found),
        cmocka_unit_test(other_bodies_are_refused),
        cmocka_unit_test(a_delimiter_between_two_windows_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
