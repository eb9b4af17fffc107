// SPDX-License-Identifier: MIT
//
// The open connections and how long each may still take to deliver its request.
//
// The HTTP library only knows silence: a client that sends a byte now and then is never silent. So every
// connection has a moment by which its whole request must have come, which a body puts off as long as it comes
// fast enough; weir__peers_reap() shuts down the sockets of those past it, and the library then closes them as it
// does when a client hangs up.
//
// Nor does the library notice a client that hangs up right behind a part of its request, its first line included: it
// waits for an edge that was there already when it read. weir__peers_reap() ends those, too.
//
// All functions may be called from any thread. A peer lives from weir__peers_add() to weir__peers_remove(),
// both called by the library's event thread, before the descriptor is closed; so a descriptor in the list is
// always the peer's own.
#ifndef WEIR_SERVER_PEERS_H
#define WEIR_SERVER_PEERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/listen.h"

typedef struct weir__peer weir__peer;

typedef struct weir__peers {
    pthread_mutex_t lock;
    weir__peer *first;            // lock
    size_t count;                 // lock
    uint64_t reaped;              // lock
    uint64_t request_ns, idle_ns; // immutable
} weir__peers;

void weir__peers_init(weir__peers *peers, uint64_t request_ns, uint64_t idle_ns);
void weir__peers_fini(weir__peers *peers); // all peers must be gone

// A new connection: its first request must have come within request_ns. NULL without memory.
weir__peer *weir__peers_add(weir__peers *peers, int fd, const struct sockaddr *address, uint64_t now_ns);
void weir__peers_remove(weir__peers *peers, weir__peer *peer);

void weir__peer_request_begins(weir__peers *peers, weir__peer *peer, uint64_t now_ns);
// A good piece of its body has come: the rest gets the time of a whole request again.
void weir__peer_progress(weir__peers *peers, weir__peer *peer, uint64_t now_ns);
void weir__peer_request_has_come(weir__peers *peers, weir__peer *peer); // no limit from here on
void weir__peer_answered(weir__peers *peers, weir__peer *peer, uint64_t now_ns);

const char *weir__peer_address(const weir__peer *peer); // without port
int weir__peer_fd(const weir__peer *peer);

// Ends what is late; returns how many.
size_t weir__peers_reap(weir__peers *peers, uint64_t now_ns);
size_t weir__peers_count(weir__peers *peers);

#endif
