/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STREAM_TOY_TRANSPORT_H
#define TESTS_UNIT_STREAM_TOY_TRANSPORT_H

/*
 * Transports whose other side a test has in its hand: over a socketpair, with a descriptor to poll,
 * and in memory, where weir_wire_ready() tells.
 */

#include "base/check.h"
#include "stream/custom.h"
#include "tests/check.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TOY_BYTES = 4096 };

/* One connection at a time. */
struct toy {
    struct weir_wire *wire;
    char address[64]; /* that was opened last */
    unsigned opened, closed;
    bool cut, shut;
    enum weir_err refusal; /* of open */
    int ours, theirs;      /* over a socketpair */
    char in[TOY_BYTES], out[TOY_BYTES];
    size_t in_bytes, out_bytes, room; /* in memory: to be read, written, and yet to be taken */
    enum weir_err end;                /* in memory: behind what is to be read */
};

static struct toy toy;

/* --- Over a socketpair ----------------------------------------------------------------------- */

static enum weir_err toy_open(const struct weir_transport_to *to, void **ret_conn)
{
    struct toy *self = to->owner;
    if (self->refusal)
        return self->refusal;
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    self->ours = ends[0];
    self->theirs = ends[1];
    self->wire = to->wire;
    self->opened++;
    snprintf(self->address, sizeof self->address, "%s", to->address);
    *ret_conn = self;
    return WEIR_OK;
}

static enum weir_err toy_count(ssize_t count, size_t *ret_count)
{
    if (count < 0 && errno != EAGAIN)
        return WEIR_E_RESET;
    *ret_count = count > 0 ? (size_t)count : 0;
    return count == 0 ? WEIR_E_EOF : WEIR_OK;
}

static enum weir_err toy_read(void *conn, char *bytes, size_t size, size_t *ret_count)
{
    return toy_count(recv(((struct toy *)conn)->ours, bytes, size, 0), ret_count);
}

/* A byte less than could be, so that writes are short. */
static enum weir_err toy_write(void *conn, const struct weir_slice *slices, unsigned count,
                               size_t *ret_count)
{
    size_t len = slices[0].len > 1 ? slices[0].len - 1 : slices[0].len;
    must(count > 0 && len > 0);
    return toy_count(send(((struct toy *)conn)->ours, slices[0].at, len, MSG_NOSIGNAL), ret_count);
}

static int toy_descriptor(void *conn)
{
    return ((struct toy *)conn)->ours;
}

static void toy_shut(void *conn)
{
    ((struct toy *)conn)->shut = true;
}

static void toy_close(void *conn, bool cut)
{
    struct toy *self = conn;
    self->cut = cut;
    self->closed++;
    close(self->ours);
}

__attribute__((unused)) static const struct weir_byte_transport toy_sockets = {
    .name = "toy",
    .owner = &toy,
    .moves = true,
    .open = toy_open,
    .read = toy_read,
    .write = toy_write,
    .descriptor = toy_descriptor,
    .shut = toy_shut,
    .close = toy_close,
};

/* --- In memory ------------------------------------------------------------------------------- */

static enum weir_err toy_memory_open(const struct weir_transport_to *to, void **ret_conn)
{
    struct toy *self = to->owner;
    self->wire = to->wire;
    self->opened++;
    *ret_conn = self;
    return WEIR_OK;
}

static enum weir_err toy_memory_read(void *conn, char *bytes, size_t size, size_t *ret_count)
{
    struct toy *self = conn;
    must(self->in_bytes <= size);
    if (self->in_bytes == 0 && self->end)
        return self->end;
    memcpy(bytes, self->in, self->in_bytes);
    *ret_count = self->in_bytes;
    self->in_bytes = 0;
    return WEIR_OK;
}

static enum weir_err toy_memory_write(void *conn, const struct weir_slice *slices, unsigned count,
                                      size_t *ret_count)
{
    struct toy *self = conn;
    *ret_count = 0;
    for (unsigned i = 0; i < count && self->room > 0; i++) {
        size_t part = slices[i].len < self->room ? slices[i].len : self->room;
        must(self->out_bytes + part <= TOY_BYTES);
        memcpy(self->out + self->out_bytes, slices[i].at, part);
        self->out_bytes += part;
        self->room -= part;
        *ret_count += part;
    }
    return WEIR_OK;
}

static void toy_memory_close(void *conn, bool cut)
{
    struct toy *self = conn;
    self->cut = cut;
    self->closed++;
}

__attribute__((unused)) static const struct weir_byte_transport toy_memory = {
    .name = "toymemory",
    .owner = &toy,
    .open = toy_memory_open,
    .read = toy_memory_read,
    .write = toy_memory_write,
    .close = toy_memory_close,
};

/* The other side says something, takes something, or ends. */
__attribute__((unused)) static void toy_say(const char *text)
{
    must(toy.in_bytes + strlen(text) <= TOY_BYTES);
    memcpy(toy.in + toy.in_bytes, text, strlen(text));
    toy.in_bytes += strlen(text);
    weir_wire_ready(toy.wire);
}

__attribute__((unused)) static void toy_take(size_t room)
{
    toy.room += room;
    weir_wire_ready(toy.wire);
}

__attribute__((unused)) static void toy_end(enum weir_err end)
{
    toy.end = end;
    weir_wire_ready(toy.wire);
}

#endif
