// SPDX-License-Identifier: MIT
//
// Deadlines of connections, on times that the test makes up, over real socket pairs.
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/peers.h"

enum { REQUEST_NS = 100, IDLE_NS = 1000 };

typedef struct link_pair {
    weir__peers peers;
    weir__peer *peer;
    int ends[2];
} link_pair;

static void open_link(link_pair *link, uint64_t now_ns)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    weir__peers_init(&link->peers, REQUEST_NS, IDLE_NS);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, link->ends), 0);
    link->peer = weir__peers_add(&link->peers, link->ends[0], (const struct sockaddr *)&address, now_ns);
    assert_non_null(link->peer);
}

static void close_link(link_pair *link)
{
    weir__peers_remove(&link->peers, link->peer);
    assert_int_equal(weir__peers_count(&link->peers), 0);
    weir__peers_fini(&link->peers);
    (void)close(link->ends[0]);
    (void)close(link->ends[1]);
}

static bool is_shut(const link_pair *link)
{
    char byte;
    return recv(link->ends[1], &byte, 1, MSG_DONTWAIT) == 0;
}

static void a_fresh_connection_has_one_request_time_in_all(void **state)
{
    (void)state;
    link_pair link;
    open_link(&link, 5);
    assert_string_equal(weir__peer_address(link.peer), "127.0.0.1");
    assert_int_equal(weir__peer_fd(link.peer), link.ends[0]);
    weir__peer_request_begins(&link.peers, link.peer, 90); // no new time: it has been dripping since 5
    assert_int_equal(weir__peers_reap(&link.peers, 104), 0);
    assert_false(is_shut(&link));
    assert_int_equal(weir__peers_reap(&link.peers, 105), 1);
    assert_true(is_shut(&link));
    assert_int_equal(weir__peers_reap(&link.peers, 106), 0);
    close_link(&link);
}

static void work_has_no_limit_and_idling_has_its_own(void **state)
{
    (void)state;
    link_pair link;
    open_link(&link, 0);
    weir__peer_request_begins(&link.peers, link.peer, 10);
    weir__peer_request_has_come(&link.peers, link.peer);
    assert_int_equal(weir__peers_reap(&link.peers, UINT64_MAX - 1), 0);
    weir__peer_answered(&link.peers, link.peer, 500);
    assert_int_equal(weir__peers_reap(&link.peers, 1499), 0);
    weir__peer_request_begins(&link.peers, link.peer, 1400);
    assert_int_equal(weir__peers_reap(&link.peers, 1499), 0);
    assert_int_equal(weir__peers_reap(&link.peers, 1500), 1);
    close_link(&link);
}

static void a_body_that_comes_fast_enough_has_time(void **state)
{
    (void)state;
    link_pair link;
    open_link(&link, 0);
    weir__peer_request_begins(&link.peers, link.peer, 0);
    weir__peer_progress(&link.peers, link.peer, 90);
    assert_int_equal(weir__peers_reap(&link.peers, 189), 0);
    weir__peer_progress(&link.peers, link.peer, 189);
    assert_int_equal(weir__peers_reap(&link.peers, 288), 0);
    assert_int_equal(weir__peers_reap(&link.peers, 289), 1);
    assert_true(is_shut(&link));
    close_link(&link);
}

static void who_hangs_up_in_a_request_is_ended(void **state)
{
    (void)state;
    link_pair link;
    open_link(&link, 0);
    assert_int_equal(send(link.ends[1], "x", 1, 0), 1);
    assert_int_equal(shutdown(link.ends[1], SHUT_WR), 0);
    assert_int_equal(weir__peers_reap(&link.peers, 1), 0); // there may be a request to read
    weir__peer_request_begins(&link.peers, link.peer, 1);
    assert_int_equal(weir__peers_reap(&link.peers, 2), 0); // there is something to read
    char byte;
    assert_int_equal(recv(link.ends[0], &byte, 1, 0), 1);
    weir__peer_request_has_come(&link.peers, link.peer);
    assert_int_equal(weir__peers_reap(&link.peers, 3), 0); // it waits for its answer
    weir__peer_progress(&link.peers, link.peer, 3);
    assert_int_equal(weir__peers_reap(&link.peers, 4), 0); // once is not enough
    assert_int_equal(weir__peers_reap(&link.peers, 5), 1);
    close_link(&link);
}

static void who_hangs_up_before_a_request_is_ended(void **state)
{
    (void)state;
    link_pair link;
    open_link(&link, 0);
    assert_int_equal(shutdown(link.ends[1], SHUT_WR), 0);
    assert_int_equal(weir__peers_reap(&link.peers, 1), 0);
    weir__peer_request_begins(&link.peers, link.peer, 2);
    weir__peer_request_has_come(&link.peers, link.peer);
    assert_int_equal(weir__peers_reap(&link.peers, 3), 0); // it had come after all
    weir__peer_answered(&link.peers, link.peer, 3);
    assert_int_equal(weir__peers_reap(&link.peers, 4), 0); // the library reads from it, and sees the end
    close_link(&link);
    open_link(&link, 0);
    assert_int_equal(shutdown(link.ends[1], SHUT_WR), 0);
    assert_int_equal(weir__peers_reap(&link.peers, 1), 0);
    assert_int_equal(weir__peers_reap(&link.peers, 2), 1);
    close_link(&link);
}

static void only_the_late_are_ended(void **state)
{
    (void)state;
    link_pair link;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int other[2];
    open_link(&link, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    weir__peer *later = weir__peers_add(&link.peers, other[0], (const struct sockaddr *)&address, 50);
    assert_non_null(later);
    assert_int_equal(weir__peers_count(&link.peers), 2);
    assert_int_equal(weir__peers_reap(&link.peers, 120), 1);
    assert_true(is_shut(&link));
    weir__peers_remove(&link.peers, later);
    (void)close(other[0]);
    (void)close(other[1]);
    close_link(&link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_connection_has_one_request_time_in_all),
        cmocka_unit_test(work_has_no_limit_and_idling_has_its_own),
        cmocka_unit_test(a_body_that_comes_fast_enough_has_time),
        cmocka_unit_test(who_hangs_up_in_a_request_is_ended),
        cmocka_unit_test(who_hangs_up_before_a_request_is_ended),
        cmocka_unit_test(only_the_late_are_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
