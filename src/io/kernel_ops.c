/* SPDX-License-Identifier: MIT */
#include "io/kernel_ops.h"

#include "base/clock.h"
#include "io/kernel.h"
#include "io/sock.h"

#include <unistd.h>

struct weir_time kernel_op_now(struct backend *backend)
{
    (void)backend;
    return clock_monotonic();
}

enum weir_err kernel_op_listen(struct backend *backend, const struct addr *addr,
                               const struct listen_options *options, int *ret_descriptor)
{
    (void)backend;
    return kernel_listen(addr, options, ret_descriptor);
}

enum weir_err kernel_op_bound(struct backend *backend, int descriptor, struct addr *ret_addr)
{
    (void)backend;
    return kernel_bound(descriptor, ret_addr);
}

size_t kernel_op_send_now(struct sock *sock, struct weir_slice bytes)
{
    return kernel_send_now(sock->descriptor, bytes);
}

void kernel_op_shut(struct sock *sock)
{
    kernel_shut(sock->descriptor);
}

enum weir_err kernel_op_peer(struct sock *sock, struct addr *ret_addr)
{
    return kernel_peer(sock->descriptor, ret_addr);
}

void kernel_op_close_descriptor(struct backend *backend, int descriptor)
{
    (void)backend;
    close(descriptor);
}
