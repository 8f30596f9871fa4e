/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HTTP_RAW_H
#define TESTS_UNIT_HTTP_RAW_H

/*
 * The other side of the wire, by hand: plain sockets on 127.0.0.1, on a port that the kernel picks.
 * What is sent over loopback lies at the receiver when the call returns, so a test knows where it
 * is.
 */

#include "io/addr.h"
#include "tests/unit/http/stage.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* A listener, and the peers' address for it. */
struct raw_listener {
    int descriptor;
    struct addr addr;
};

static inline struct addr raw_addr_of(int descriptor)
{
    struct addr addr = {.len = sizeof addr.v6};
    must(getsockname(descriptor, &addr.any, &addr.len) == 0);
    return addr;
}

static inline int raw_bound(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(descriptor >= 0 && bind(descriptor, (struct sockaddr *)&any, sizeof any) == 0);
    return descriptor;
}

static inline void raw_listen(struct raw_listener *ret_listener)
{
    ret_listener->descriptor = raw_bound();
    must(listen(ret_listener->descriptor, 128) == 0);
    ret_listener->addr = raw_addr_of(ret_listener->descriptor);
}

/* An address where nobody listens; its port stays taken until *ret_descriptor is closed. */
static inline struct addr raw_refusing(int *ret_descriptor)
{
    *ret_descriptor = raw_bound();
    return raw_addr_of(*ret_descriptor);
}

/* What is sent goes at once, however little it is. */
static inline void raw_no_delay(int descriptor)
{
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* The next connection, waited for; -1 when none comes. */
WEIR_SUSPENDS static inline int raw_accept(const struct raw_listener *listener)
{
    int descriptor;
    do
        descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (descriptor < 0 && stage_breathe());
    CHECK(descriptor >= 0);
    raw_no_delay(descriptor);
    return descriptor;
}

/* Whether nobody has connected who was not accepted. */
static inline bool raw_nobody_waits(const struct raw_listener *listener)
{
    int descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0)
        return true;
    close(descriptor);
    return false;
}

static inline int raw_dial(const struct addr *addr)
{
    int descriptor = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(descriptor >= 0 && connect(descriptor, &addr->any, addr->len) == 0);
    raw_no_delay(descriptor);
    return descriptor;
}

static inline void raw_send_bytes(int descriptor, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(descriptor, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN && stage_breathe())
            continue;
        if (!CHECK(sent > 0))
            return;
        bytes += sent;
        count -= (size_t)sent;
    }
}

static inline void raw_send(int descriptor, const char *text)
{
    raw_send_bytes(descriptor, text, strlen(text));
}

/* What receiving ended with when it gave no byte. */
enum { RAW_NOTHING = -1, RAW_RESET = -2 };

/* What is there: bytes, 0 for an end, RAW_NOTHING or RAW_RESET. */
static inline ssize_t raw_recv_now(int descriptor, char *bytes, size_t room)
{
    ssize_t count = recv(descriptor, bytes, room, MSG_DONTWAIT);
    if (count >= 0)
        return count;
    return errno == EAGAIN ? RAW_NOTHING : RAW_RESET;
}

enum { RAW_TEXT_SIZE = 64 * 1024 };
/* What raw_read() and its kin have read, NUL-terminated. */
static char raw_text[RAW_TEXT_SIZE];

/*
 * Reads until the text ends with `end` and not a byte further, or until the connection ends: then
 * the outcome is as of raw_recv_now(). With "" only the latter.
 */
WEIR_SUSPENDS static inline ssize_t raw_read(int descriptor, const char *end)
{
    size_t length = 0, end_length = strlen(end);
    for (;;) {
        raw_text[length] = '\0';
        if (end_length && length >= end_length && !strcmp(raw_text + length - end_length, end))
            return (ssize_t)length;
        size_t room = end_length ? 1 : RAW_TEXT_SIZE - 1 - length;
        must(length + room < RAW_TEXT_SIZE);
        ssize_t count = raw_recv_now(descriptor, raw_text + length, room);
        if (count == RAW_NOTHING && stage_breathe())
            continue;
        if (count <= 0)
            return count;
        length += (size_t)count;
    }
}

/* A whole head. */
WEIR_SUSPENDS static inline bool raw_read_head(int descriptor)
{
    return CHECK(raw_read(descriptor, "\r\n\r\n") > 0);
}

/* Everything, up to an orderly end. */
WEIR_SUSPENDS static inline bool raw_read_all(int descriptor)
{
    return CHECK_EQ(0, raw_read(descriptor, ""));
}

static inline bool raw_has(const char *text)
{
    bool has = strstr(raw_text, text) != NULL;
    if (!has)
        printf("# no \"%s\" in \"%s\"\n", text, raw_text);
    return has;
}

static inline bool raw_starts(const char *text)
{
    bool starts = strncmp(raw_text, text, strlen(text)) == 0;
    if (!starts)
        printf("# no \"%s\" at the front of \"%s\"\n", text, raw_text);
    return starts;
}

/* Waits for the other side's end: 0, or RAW_RESET. What comes before it is thrown away. */
WEIR_SUSPENDS static inline ssize_t raw_await_end(int descriptor)
{
    static char thrown[4096];
    for (;;) {
        ssize_t count = raw_recv_now(descriptor, thrown, sizeof thrown);
        if (count == 0 || count == RAW_RESET || (count == RAW_NOTHING && !stage_breathe()))
            return count;
    }
}

static inline bool raw_is_open(int descriptor)
{
    char byte;
    ssize_t count = recv(descriptor, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return count > 0 || (count < 0 && errno == EAGAIN);
}

static inline void raw_close(int descriptor)
{
    close(descriptor);
}

static inline void raw_reset(int descriptor)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    must(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(descriptor);
}

#endif
