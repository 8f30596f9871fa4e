/* SPDX-License-Identifier: MIT */
#include "io/kernel.h"

#include "base/check.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum weir_err kernel_err(int number)
{
    switch (number) {
    case ECONNREFUSED:
    case ENOENT: /* a Unix path that nobody listens on */
    case EAGAIN: /* a Unix socket whose backlog is full */
        return WEIR_E_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EAFNOSUPPORT:
        return WEIR_E_UNREACHABLE;
    case ETIMEDOUT:
        return WEIR_E_CONNECT_TIMEOUT;
    case EADDRNOTAVAIL:
        return WEIR_E_NO_PORTS;
    case EMFILE:
    case ENFILE:
        return WEIR_E_NO_DESCRIPTORS;
    case ENOMEM:
    case ENOBUFS:
        return WEIR_E_NO_MEMORY;
    case EADDRINUSE:
        return WEIR_E_ADDRESS_IN_USE;
    case EACCES:
    case EPERM:
        return WEIR_E_PERMISSION;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return WEIR_E_RESET;
    default:
        return WEIR_E_IO;
    }
}

static void set_option(int descriptor, int level, int option, int value)
{
    /* Options tune; a kernel that does not know one still carries the connection. */
    (void)setsockopt(descriptor, level, option, &value, sizeof value);
}

static int open_socket(const struct addr *addr)
{
    return socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A Unix socket file that nobody listens on any more is in the way of bind(). */
static void remove_stale_path(const struct addr *addr)
{
    struct stat file;
    if (stat(addr->local.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode))
        return;
    int probe = open_socket(addr);
    if (probe >= 0 && connect(probe, &addr->any, addr->len) != 0 && errno == ECONNREFUSED)
        unlink(addr->local.sun_path);
    if (probe >= 0)
        close(probe);
}

/* To who connects these say other things: no free port, nobody listens there. */
static enum weir_err listen_err(int number)
{
    bool missing = number == EADDRNOTAVAIL || number == ENOENT || number == ENOTDIR;
    return missing ? WEIR_E_ADDRESS : kernel_err(number);
}

static enum weir_err listen_on(const struct addr *addr, const struct listen_options *options,
                               int *ret_descriptor)
{
    int descriptor = open_socket(addr);
    if (descriptor < 0)
        return kernel_err(errno);
    if (addr_is_local(addr)) {
        remove_stale_path(addr);
    } else {
        set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
        /* Accepted sockets inherit it: one call here instead of one for each. */
        set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (addr->any.sa_family == AF_INET6)
        set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
    if (bind(descriptor, &addr->any, addr->len) != 0 || listen(descriptor, options->backlog) != 0) {
        enum weir_err err = listen_err(errno);
        close(descriptor);
        return err;
    }
    *ret_descriptor = descriptor;
    return WEIR_OK;
}

/* "Every address", where this kernel has no IPv6: every address of IPv4. */
static bool is_any_without_ipv6(const struct addr *addr, struct addr *ret_v4)
{
    if (addr->any.sa_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr))
        return false;
    int probe = open_socket(addr);
    if (probe >= 0)
        close(probe);
    if (probe >= 0 || errno != EAFNOSUPPORT)
        return false;
    *ret_v4 = (struct addr){.len = sizeof ret_v4->v4, .v4 = {.sin_family = AF_INET}};
    addr_set_port(ret_v4, addr_port(addr));
    return true;
}

enum weir_err kernel_listen(const struct addr *addr, const struct listen_options *options,
                            int *ret_descriptor)
{
    struct addr v4;
    return listen_on(is_any_without_ipv6(addr, &v4) ? &v4 : addr, options, ret_descriptor);
}

enum weir_err kernel_bound(int descriptor, struct addr *ret_addr)
{
    struct addr addr = {.len = sizeof addr.local};
    if (getsockname(descriptor, &addr.any, &addr.len) != 0)
        return kernel_err(errno);
    *ret_addr = addr;
    return WEIR_OK;
}

enum weir_err kernel_peer(int descriptor, struct addr *ret_addr)
{
    struct addr addr = {.len = sizeof addr.local};
    if (getpeername(descriptor, &addr.any, &addr.len) != 0)
        return kernel_err(errno);
    *ret_addr = addr;
    return WEIR_OK;
}

enum weir_err kernel_accept(int listener, int *ret_descriptor, struct addr *ret_from)
{
    for (;;) {
        struct addr from = {.len = sizeof from.local};
        int descriptor = accept4(listener, &from.any, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            *ret_descriptor = descriptor;
            *ret_from = from;
            return WEIR_OK;
        }
        /* accept(2): errors of the connection that was waiting concern it alone. */
        if (errno == EAGAIN)
            return WEIR_E_TIMEOUT;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return WEIR_E_NO_DESCRIPTORS;
        if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)
            return WEIR_E_IO;
    }
}

static enum weir_err bind_source(int descriptor, const struct addr *source)
{
    /* The port is chosen when the destination is known, so that it may serve many of them. */
    set_option(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(descriptor, &source->any, source->len) != 0)
        return kernel_err(errno);
    return WEIR_OK;
}

static void set_keepalive(int descriptor, const struct dial_options *options)
{
    int idle_s = (int)(options->keepalive_idle.ns / 1000000000);
    int interval_s = (int)(options->keepalive_interval.ns / 1000000000);
    set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, idle_s ? idle_s : 1);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, interval_s ? interval_s : 1);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_count);
}

/* What is refused here is no reason not to connect: an older kernel goes without. */
static void set_tcp(int descriptor, const struct addr *addr, const struct dial_options *options)
{
    set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options->keepalive_idle.ns > 0)
        set_keepalive(descriptor, options);
    if (options->user_timeout.ns > 0 && !weir_span_is_forever(options->user_timeout))
        set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT,
                   (int)weir_span_to_ms(options->user_timeout));
    if (options->dscp > 0 && addr->any.sa_family == AF_INET)
        set_option(descriptor, IPPROTO_IP, IP_TOS, (int)options->dscp << 2);
    if (options->dscp > 0 && addr->any.sa_family == AF_INET6)
        set_option(descriptor, IPPROTO_IPV6, IPV6_TCLASS, (int)options->dscp << 2);
    if (options->receive_buffer > 0)
        set_option(descriptor, SOL_SOCKET, SO_RCVBUF, (int)options->receive_buffer);
    if (options->fast_open)
        set_option(descriptor, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
}

enum weir_err kernel_dial_socket(const struct addr *addr, const struct dial_options *options,
                                 int *ret_descriptor)
{
    int descriptor = open_socket(addr);
    if (descriptor < 0)
        return kernel_err(errno);
    enum weir_err err = WEIR_OK;
    if (!addr_is_local(addr)) {
        set_tcp(descriptor, addr, options);
        if (options->source.len > 0)
            err = bind_source(descriptor, &options->source);
    }
    if (err)
        close(descriptor);
    else
        *ret_descriptor = descriptor;
    return err;
}

enum weir_err kernel_dial(const struct addr *addr, const struct dial_options *options,
                          int *ret_descriptor, bool *ret_connecting)
{
    int descriptor = -1;
    TRY(kernel_dial_socket(addr, options, &descriptor));
    bool connected = connect(descriptor, &addr->any, addr->len) == 0;
    if (!connected && errno != EINPROGRESS) {
        enum weir_err err = kernel_err(errno);
        close(descriptor);
        return err;
    }
    *ret_connecting = !connected;
    *ret_descriptor = descriptor;
    return WEIR_OK;
}

enum weir_err kernel_connect_result(int descriptor)
{
    int number = 0;
    socklen_t len = sizeof number;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
        number = errno;
    return number ? kernel_err(number) : WEIR_OK;
}

enum io_got kernel_recv(int descriptor, struct iobuf *buf)
{
    ssize_t got;
    do
        got = recv(descriptor, buf->bytes, IOBUF_BYTES, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        buf->start = 0;
        buf->end = (uint32_t)got;
        return IO_BYTES;
    }
    if (got == 0)
        return IO_EOF;
    return errno == EAGAIN ? IO_NOTHING : IO_RESET;
}

void send_op_advance(struct send_op *op, size_t bytes)
{
    op->sent_bytes += bytes;
    while (op->count > 0 && bytes >= op->slices[op->first].iov_len) {
        bytes -= op->slices[op->first].iov_len;
        op->first++;
        op->count--;
    }
    if (bytes > 0) {
        struct iovec *slice = &op->slices[op->first];
        slice->iov_base = (char *)slice->iov_base + bytes;
        slice->iov_len -= bytes;
    }
}

static ssize_t send_some(int descriptor, struct send_op *op)
{
    struct iovec *slices = op->slices + op->first;
    if (op->count == 1)
        return send(descriptor, slices->iov_base, slices->iov_len, MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = slices, .msg_iovlen = op->count};
    return sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

bool kernel_send(int descriptor, struct send_op *op)
{
    while (op->count > 0) {
        ssize_t sent = send_some(descriptor, op);
        if (sent >= 0) {
            send_op_advance(op, (size_t)sent);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            return false;
        /* Of a connection that stood: whatever it is called, it is broken. */
        op->result = WEIR_E_RESET;
        return true;
    }
    return true;
}

size_t kernel_send_now(int descriptor, struct weir_slice bytes)
{
    ssize_t sent = send(descriptor, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent > 0 ? (size_t)sent : 0;
}

void kernel_shut(int descriptor)
{
    (void)shutdown(descriptor, SHUT_WR);
}

void kernel_reset_at_close(int descriptor)
{
    /* A linger time of 0 makes close() send a reset. */
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void kernel_close(int descriptor, bool reset)
{
    if (reset)
        kernel_reset_at_close(descriptor);
    close(descriptor);
}

void kernel_close_unseen(int descriptor)
{
    (void)syscall(SYS_close, descriptor);
}
