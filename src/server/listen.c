// SPDX-License-Identifier: MIT
//
// See listen.h. Addresses are numeric, so nothing here asks a name server.
#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static int bad_address(const char *text, weir_error *err)
{
    return weir__error_set(err, WEIR_INVALID,
                           "cannot listen on '%s': write ADDRESS:PORT, such as 127.0.0.1:9347 or [::1]:9347",
                           text);
}

static bool parse_port(const char *text, in_port_t *port)
{
    const size_t size = strspn(text, "0123456789");
    if (size == 0 || size > 5 || text[size] != '\0')
        return false;
    const unsigned long number = strtoul(text, NULL, 10);
    *port = htons((uint16_t)number);
    return number <= 65535;
}

int weir__address_parse(const char *text, weir__address *address, weir_error *err)
{
    *address = (weir__address){0};
    char host[WEIR__ADDRESS_SIZE];
    in_port_t port = 0;
    const char *colon = strrchr(text, ':');
    const bool bracket = text[0] == '[';
    if (colon == NULL || !parse_port(colon + 1, &port))
        return bad_address(text, err);
    const char *start = text + bracket;
    const char *end = colon - bracket;
    if (end <= start || (bracket && *end != ']') || (size_t)(end - start) >= sizeof host)
        return bad_address(text, err);
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    if (!bracket && strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof host, "127.0.0.1");
    struct sockaddr_in *four = (struct sockaddr_in *)&address->storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address->storage;
    if (!bracket && inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = port;
        address->size = sizeof *four;
    } else if (bracket && inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = port;
        address->size = sizeof *six;
    } else {
        return bad_address(text, err);
    }
    return WEIR_OK;
}

bool weir__address_is_loopback(const weir__address *address)
{
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&address->storage;
        return (ntohl(four->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->storage;
    return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

void weir__address_host(const struct sockaddr *address, char out[WEIR__ADDRESS_SIZE])
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    const void *bytes = NULL;
    int family = address->sa_family;
    if (family == AF_INET) {
        bytes = &four->sin_addr;
    } else if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        family = AF_INET;
        bytes = six->sin6_addr.s6_addr + 12;
    } else if (family == AF_INET6) {
        bytes = &six->sin6_addr;
    }
    if (bytes == NULL || inet_ntop(family, bytes, out, WEIR__ADDRESS_SIZE) == NULL)
        (void)snprintf(out, WEIR__ADDRESS_SIZE, "?");
}

static uint16_t port_of(const struct sockaddr *address)
{
    return ntohs(address->sa_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
                     : ((const struct sockaddr_in *)(const void *)address)->sin_port);
}

uint16_t weir__address_port(const weir__address *address)
{
    return port_of((const struct sockaddr *)&address->storage);
}

void weir__address_format(const struct sockaddr *address, char out[WEIR__ADDRESS_SIZE])
{
    char host[WEIR__ADDRESS_SIZE];
    weir__address_host(address, host);
    (void)snprintf(out, WEIR__ADDRESS_SIZE, strchr(host, ':') != NULL ? "[%.60s]:%u" : "%.60s:%u", host,
                   (unsigned)port_of(address));
}

int weir__listen(weir__address *address, int *fd, weir_error *err)
{
    *fd = -1;
    char name[WEIR__ADDRESS_SIZE];
    weir__address_format((const struct sockaddr *)&address->storage, name);
    const int one = 1;
    const int opened = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened < 0)
        return weir__error_errno(err, errno, "cannot open a socket for %s", name);
    (void)setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    socklen_t size = sizeof address->storage;
    if (bind(opened, (const struct sockaddr *)&address->storage, address->size) != 0 ||
        listen(opened, SOMAXCONN) != 0 ||
        getsockname(opened, (struct sockaddr *)&address->storage, &size) != 0) {
        const int error = errno;
        (void)close(opened);
        if (error == EADDRINUSE)
            return weir__error_set(
                err, WEIR_EXISTS,
                "cannot listen on %s: another program does; choose another port with --listen", name);
        return weir__error_errno(err, error, "cannot listen on %s", name);
    }
    address->size = size;
    *fd = opened;
    return WEIR_OK;
}
