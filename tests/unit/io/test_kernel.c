/* SPDX-License-Identifier: MIT */
#include "io/kernel.h"

#include "base/check.h"
#include "base/slice.h"

#include "tests/check.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    int number;
    enum weir_err err;
} meanings[] = {
    {ECONNREFUSED, WEIR_E_REFUSED},
    {ENOENT, WEIR_E_REFUSED},
    {ENETUNREACH, WEIR_E_UNREACHABLE},
    {EHOSTUNREACH, WEIR_E_UNREACHABLE},
    {ETIMEDOUT, WEIR_E_CONNECT_TIMEOUT},
    {EADDRNOTAVAIL, WEIR_E_NO_PORTS},
    {EMFILE, WEIR_E_NO_DESCRIPTORS},
    {ENFILE, WEIR_E_NO_DESCRIPTORS},
    {ENOMEM, WEIR_E_NO_MEMORY},
    {EADDRINUSE, WEIR_E_ADDRESS_IN_USE},
    {EACCES, WEIR_E_PERMISSION},
    {ECONNRESET, WEIR_E_RESET},
    {EPIPE, WEIR_E_RESET},
    {ENOTSOCK, WEIR_E_IO},
};

TEST(each_errno_has_a_meaning)
{
    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        if (!CHECK_EQ(meanings[i].err, kernel_err(meanings[i].number)))
            printf("# errno %d\n", meanings[i].number);
}

static struct addr address(const char *text)
{
    struct addr addr = {0};
    CHECK_OK(addr_parse(slice_str(text), &addr));
    return addr;
}

static const struct listen_options listening = {.backlog = 16};

static int listen_at(const char *text, struct addr *ret_addr)
{
    struct addr addr = address(text);
    int descriptor = -1;
    CHECK_OK(kernel_listen(&addr, &listening, &descriptor));
    CHECK_OK(kernel_bound(descriptor, ret_addr));
    return descriptor;
}

static void wait_for(int descriptor, short events)
{
    struct pollfd poll_for = {.fd = descriptor, .events = events};
    CHECK_EQ(1, poll(&poll_for, 1, 5000));
}

/* A dialled end and its accepted one. */
static void connect_two(const char *text, int *ret_dialled, int *ret_accepted)
{
    struct addr addr, from, peer;
    struct dial_options options = {.keepalive_idle = weir_span_s(60),
                                   .keepalive_interval = weir_span_s(10),
                                   .keepalive_count = 3};
    int listener = listen_at(text, &addr);
    bool connecting;
    CHECK_ERR(WEIR_E_TIMEOUT, kernel_accept(listener, ret_accepted, &from));
    CHECK_OK(kernel_dial(&addr, &options, ret_dialled, &connecting));
    wait_for(*ret_dialled, POLLOUT);
    CHECK_OK(kernel_connect_result(*ret_dialled));
    wait_for(listener, POLLIN);
    CHECK_OK(kernel_accept(listener, ret_accepted, &from));
    CHECK_OK(kernel_peer(*ret_dialled, &peer));
    CHECK(addr_equal(&peer, &addr));
    if (!addr_is_local(&addr)) {
        CHECK_OK(kernel_bound(*ret_dialled, &peer));
        CHECK(addr_equal(&peer, &from));
    }
    kernel_close(listener, false);
}

static void send_bytes(int descriptor, const char *text)
{
    struct send_op op = {.count = 2};
    op.slices[0] = (struct iovec){(void *)(uintptr_t)text, 1};
    op.slices[1] = (struct iovec){(void *)(uintptr_t)(text + 1), strlen(text) - 1};
    CHECK(kernel_send(descriptor, &op));
    CHECK_OK(op.result);
    CHECK_EQ(strlen(text), op.sent_bytes);
}

static enum io_got recv_some(int descriptor, struct iobuf *buf)
{
    wait_for(descriptor, POLLIN);
    return kernel_recv(descriptor, buf);
}

static void exchange(const char *where, bool has_resets)
{
    int dialled, accepted;
    struct iobuf *buf = malloc(sizeof *buf);
    must(buf);
    connect_two(where, &dialled, &accepted);
    CHECK_EQ(IO_NOTHING, kernel_recv(accepted, buf));
    send_bytes(dialled, "some bytes");
    CHECK_EQ(IO_BYTES, recv_some(accepted, buf));
    CHECK_SLICE(iobuf_slice(buf), "some bytes");
    kernel_shut(dialled);
    CHECK_EQ(IO_EOF, recv_some(accepted, buf));
    send_bytes(accepted, "more");
    CHECK_EQ(IO_BYTES, recv_some(dialled, buf));
    CHECK_SLICE(iobuf_slice(buf), "more");
    kernel_close(accepted, true);
    CHECK_EQ(has_resets ? IO_RESET : IO_EOF, recv_some(dialled, buf));
    kernel_close(dialled, false);
    free(buf);
}

TEST(tcp_carries_bytes_and_ends)
{
    exchange("127.0.0.1:0", true);
    exchange("[::1]:0", true);
}

TEST(unix_sockets_carry_bytes_and_ends)
{
    char where[64];
    snprintf(where, sizeof where, "unix:/tmp/weir-kernel-%d.sock", getpid());
    exchange(where, false); /* the kernel knows no reset there */
    unlink(where + strlen("unix:"));
}

TEST(an_address_is_taken_once)
{
    struct addr addr;
    int second, listener = listen_at("127.0.0.1:0", &addr);
    CHECK_ERR(WEIR_E_ADDRESS_IN_USE, kernel_listen(&addr, &listening, &second));
    kernel_close(listener, false);
    CHECK_OK(kernel_listen(&addr, &listening, &second));
    kernel_close(second, false);
    addr = address("192.0.2.1:0"); /* of nobody here (RFC 5737) */
    CHECK_ERR(WEIR_E_ADDRESS, kernel_listen(&addr, &listening, &second));
}

TEST(a_stale_path_is_replaced_and_a_live_one_is_not)
{
    char where[64];
    struct addr addr;
    int second;
    snprintf(where, sizeof where, "unix:/tmp/weir-kernel-%d.sock", getpid());
    int listener = listen_at(where, &addr);
    CHECK_ERR(WEIR_E_ADDRESS_IN_USE, kernel_listen(&addr, &listening, &second));
    kernel_close(listener, false);
    CHECK_EQ(0, access(addr.local.sun_path, F_OK)); /* the file outlives its listener */
    CHECK_OK(kernel_listen(&addr, &listening, &second));
    kernel_close(second, false);
    unlink(addr.local.sun_path);
}

TEST(a_file_that_is_no_socket_stays)
{
    char path[64], where[80];
    int descriptor;
    snprintf(path, sizeof path, "/tmp/weir-kernel-file-%d", getpid());
    snprintf(where, sizeof where, "unix:%s", path);
    FILE *file = fopen(path, "w");
    if (!CHECK(file))
        return;
    fclose(file);
    struct addr addr = address(where);
    CHECK_ERR(WEIR_E_ADDRESS_IN_USE, kernel_listen(&addr, &listening, &descriptor));
    CHECK_EQ(0, access(path, F_OK));
    unlink(path);
}

TEST(nobody_listens)
{
    struct addr addr, path = address("unix:/tmp/weir-kernel-no-such.sock");
    struct dial_options options = {0};
    int descriptor, listener = listen_at("127.0.0.1:0", &addr);
    bool connecting = true;
    kernel_close(listener, false);
    enum weir_err err = kernel_dial(&addr, &options, &descriptor, &connecting);
    if (!err) {
        wait_for(descriptor, POLLOUT);
        err = kernel_connect_result(descriptor);
        kernel_close(descriptor, false);
    }
    CHECK_ERR(WEIR_E_REFUSED, err);
    CHECK_ERR(WEIR_E_REFUSED, kernel_dial(&path, &options, &descriptor, &connecting));
}

TEST(a_source_address_is_used)
{
    struct addr addr, from;
    struct dial_options options = {.source = address("127.0.0.9:0")};
    int dialled, accepted, listener = listen_at("127.0.0.1:0", &addr);
    bool connecting;
    char text[ADDR_TEXT_SIZE];
    CHECK_OK(kernel_dial(&addr, &options, &dialled, &connecting));
    wait_for(listener, POLLIN);
    CHECK_OK(kernel_accept(listener, &accepted, &from));
    CHECK_SLICE(slice_str(addr_print_ip(&from, text)), "127.0.0.9");
    kernel_close(accepted, false);
    kernel_close(dialled, false);
    options.source = address("192.0.2.1:0");
    CHECK_ERR(WEIR_E_NO_PORTS, kernel_dial(&addr, &options, &dialled, &connecting));
    kernel_close(listener, false);
}

/* A send that does not fit goes out in parts, slice by slice, and says how far it came. */
TEST(a_send_that_does_not_fit_goes_on_later)
{
    enum { SLICES = 18, LEN = 10000 };
    int ends[2], small = 4096;
    struct send_op op = {.count = SLICES};
    struct iobuf *buf = malloc(sizeof *buf);
    char *text = malloc(SLICES * LEN);
    size_t at = 0;
    must(buf && text);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    CHECK_EQ(0, setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    for (size_t i = 0; i < SLICES * LEN; i++)
        text[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < SLICES; i++)
        op.slices[i] = (struct iovec){text + i * LEN, LEN};
    CHECK(!kernel_send(ends[0], &op));
    CHECK(op.sent_bytes > 0 && op.sent_bytes < SLICES * LEN);
    while (at < SLICES * LEN) {
        if (!CHECK_EQ(IO_BYTES, kernel_recv(ends[1], buf)))
            break;
        struct weir_slice got = iobuf_slice(buf);
        CHECK(memcmp(got.at, text + at, got.len) == 0);
        at += got.len;
        if (op.count > 0)
            kernel_send(ends[0], &op);
    }
    CHECK_EQ(SLICES * LEN, op.sent_bytes);
    CHECK_OK(op.result);
    kernel_close(ends[1], false);
    op = (struct send_op){.count = 1, .slices = {{text, 1}}};
    CHECK(kernel_send(ends[0], &op));
    CHECK_ERR(WEIR_E_RESET, op.result); /* and no signal */
    kernel_close(ends[0], false);
    free(text);
    free(buf);
}

CHECK_MAIN
