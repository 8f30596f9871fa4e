/* SPDX-License-Identifier: MIT */
#ifndef IO_KERNEL_OPS_H
#define IO_KERNEL_OPS_H

/* The operations of the vtable that are the same for every backend over a kernel. */

#include "io/backend.h"

/* How long accepting rests when this process has no descriptor left. */
#define ACCEPT_REST weir_span_ms(100)

struct weir_time kernel_op_now(struct backend *backend);
enum weir_err kernel_op_listen(struct backend *backend, const struct addr *addr,
                               const struct listen_options *options, int *ret_descriptor);
enum weir_err kernel_op_bound(struct backend *backend, int descriptor, struct addr *ret_addr);
size_t kernel_op_send_now(struct sock *sock, struct weir_slice bytes);
void kernel_op_shut(struct sock *sock);
enum weir_err kernel_op_peer(struct sock *sock, struct addr *ret_addr);
void kernel_op_close_descriptor(struct backend *backend, int descriptor);

#endif
