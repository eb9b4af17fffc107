// SPDX-License-Identifier: MIT
//
// Reading a log without memory: the k-th allocation fails, for k = 0, 1, 2 … until the scan can be opened. Each time
// it has to say WEIR_NOMEM, and keep neither a block nor a descriptor.
#include "support/nomem.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "weir/wal.h"

#if IS_SANITIZED

int main(void)
{
    return skip_sanitized();
}

#else

static char path[] = "/tmp/weir-scan-nomem-XXXXXX";

// The lowest descriptor that is free.
static int next_descriptor(void)
{
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int lowest = fd;
    assert_true(fd >= 0);
    close(fd);
    return lowest;
}

static int scan(weir_error *err)
{
    weir_wal_scan *opened = NULL;
    weir_wal_frame frame;
    weir_wal_end end;
    const int descriptor = next_descriptor();
    int code = weir_wal_scan_open(path, &opened, err);
    assert_int_equal(opened != NULL, code == WEIR_OK);
    if (code == WEIR_OK) {
        code = weir_wal_scan_next(opened, &frame, err);
        assert_int_equal(frame.number, 0);
    }
    if (code == WEIR_OK)
        code = weir_wal_scan_end(opened, &end, err);
    weir_wal_scan_close(opened);
    assert_int_equal(next_descriptor(), descriptor);
    return code;
}

static void a_scan_without_memory_is_none(void **state)
{
    (void)state;
    NOMEM_WALK(scan, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_scan_without_memory_is_none)};
    const int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return unlink(path) == 0 ? failed : 1;
}

#endif
