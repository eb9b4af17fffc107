// SPDX-License-Identifier: MIT
//
// The listening socket: from the text of --listen to a descriptor that accepts.
#ifndef WEIR_SERVER_LISTEN_H
#define WEIR_SERVER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <weir/error.h>

enum { WEIR__ADDRESS_SIZE = 80 };

typedef struct weir__address {
    struct sockaddr_storage storage;
    socklen_t size;
} weir__address;

// ADDR:PORT, [ADDR6]:PORT or localhost:PORT, numbers only: a name that means another address tomorrow is no
// place to listen on. INVALID otherwise.
int weir__address_parse(const char *text, weir__address *address, weir_error *err);

uint16_t weir__address_port(const weir__address *address);
bool weir__address_is_loopback(const weir__address *address);

// The address without its port, as it stands in a Host header without brackets.
void weir__address_host(const struct sockaddr *address, char out[WEIR__ADDRESS_SIZE]);

// ADDR:PORT or [ADDR6]:PORT.
void weir__address_format(const struct sockaddr *address, char out[WEIR__ADDRESS_SIZE]);

// Opens the socket and puts the address that it really has (port 0 replaced) into *address. EXISTS when it is
// in use.
int weir__listen(weir__address *address, int *fd, weir_error *err);

#endif
