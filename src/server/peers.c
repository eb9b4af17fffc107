// SPDX-License-Identifier: MIT
//
// See peers.h. A doubly linked list: a few thousand entries, looked through a few times per second.
#include "server/peers.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"

struct weir__peer {
    weir__peer *next, *previous;      // peers' lock
    uint64_t deadline_ns;             // peers' lock; WEIR__FOREVER: none
    bool had_request;                 // peers' lock
    bool receiving;                   // peers' lock; its request has begun and not yet come
    bool hung_up;                     // peers' lock; it was found to have hung up in this request
    bool reaped;                      // peers' lock
    int fd;                           // immutable
    char address[WEIR__ADDRESS_SIZE]; // immutable
};

void weir__peers_init(weir__peers *peers, uint64_t request_ns, uint64_t idle_ns)
{
    *peers = (weir__peers){.request_ns = request_ns, .idle_ns = idle_ns};
    pthread_mutex_init(&peers->lock, NULL);
}

void weir__peers_fini(weir__peers *peers)
{
    WEIR_ASSERT(peers->count == 0);
    pthread_mutex_destroy(&peers->lock);
}

weir__peer *weir__peers_add(weir__peers *peers, int fd, const struct sockaddr *address, uint64_t now_ns)
{
    weir__peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->fd = fd;
    weir__address_host(address, peer->address);
    peer->deadline_ns = weir__deadline_ns(now_ns, peers->request_ns);
    pthread_mutex_lock(&peers->lock);
    peer->next = peers->first;
    if (peer->next != NULL)
        peer->next->previous = peer;
    peers->first = peer;
    peers->count++;
    pthread_mutex_unlock(&peers->lock);
    return peer;
}

void weir__peers_remove(weir__peers *peers, weir__peer *peer)
{
    pthread_mutex_lock(&peers->lock);
    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    else
        peers->first = peer->next;
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
    peers->count--;
    pthread_mutex_unlock(&peers->lock);
    free(peer);
}

void weir__peer_request_begins(weir__peers *peers, weir__peer *peer, uint64_t now_ns)
{
    pthread_mutex_lock(&peers->lock);
    if (peer->had_request) // a fresh connection's clock runs since it was accepted
        peer->deadline_ns = weir__deadline_ns(now_ns, peers->request_ns);
    peer->had_request = true;
    peer->receiving = true;
    peer->hung_up = false;
    pthread_mutex_unlock(&peers->lock);
}

static void set_deadline(weir__peers *peers, weir__peer *peer, bool receiving, uint64_t deadline_ns)
{
    pthread_mutex_lock(&peers->lock);
    peer->deadline_ns = deadline_ns;
    peer->receiving = receiving;
    peer->hung_up = false;
    pthread_mutex_unlock(&peers->lock);
}

void weir__peer_progress(weir__peers *peers, weir__peer *peer, uint64_t now_ns)
{
    set_deadline(peers, peer, true, weir__deadline_ns(now_ns, peers->request_ns));
}

void weir__peer_request_has_come(weir__peers *peers, weir__peer *peer)
{
    set_deadline(peers, peer, false, WEIR__FOREVER);
}

void weir__peer_answered(weir__peers *peers, weir__peer *peer, uint64_t now_ns)
{
    set_deadline(peers, peer, false, weir__deadline_ns(now_ns, peers->idle_ns));
}

const char *weir__peer_address(const weir__peer *peer)
{
    return peer->address;
}

int weir__peer_fd(const weir__peer *peer)
{
    return peer->fd;
}

// In the middle of its request, or before its first, which then cannot be answered. Believed when it is found twice:
// the first time the library may have read all of the request and be about to say so.
static bool has_hung_up(weir__peer *peer)
{
    char byte;
    const bool before = peer->hung_up;
    const bool is_awaited = peer->receiving || !peer->had_request;
    peer->hung_up = is_awaited && recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    return before && peer->hung_up;
}

size_t weir__peers_reap(weir__peers *peers, uint64_t now_ns)
{
    size_t ended = 0;
    pthread_mutex_lock(&peers->lock);
    for (weir__peer *peer = peers->first; peer != NULL; peer = peer->next) {
        if (peer->reaped || (peer->deadline_ns > now_ns && !has_hung_up(peer)))
            continue;
        peer->reaped = true;
        (void)shutdown(peer->fd, SHUT_RDWR);
        ended++;
    }
    peers->reaped += ended;
    pthread_mutex_unlock(&peers->lock);
    return ended;
}

size_t weir__peers_count(weir__peers *peers)
{
    pthread_mutex_lock(&peers->lock);
    const size_t count = peers->count;
    pthread_mutex_unlock(&peers->lock);
    return count;
}
