/* SPDX-License-Identifier: MIT */
#ifndef IO_KERNEL_H
#define IO_KERNEL_H

/*
 * The system calls on sockets, with errno turned into weir_err in this one place. None waits.
 * Shared by the backends that stand for a kernel.
 */

#include "io/backend.h"

#include <stdbool.h>

/* What an errno means. */
enum weir_err kernel_err(int number);

enum weir_err kernel_listen(const struct addr *addr, const struct listen_options *options,
                            int *ret_descriptor);
enum weir_err kernel_bound(int descriptor, struct addr *ret_addr);
enum weir_err kernel_peer(int descriptor, struct addr *ret_addr);

/* WEIR_E_TIMEOUT when none waits to be accepted. */
enum weir_err kernel_accept(int listener, int *ret_descriptor, struct addr *ret_from);

/* A socket that is ready to connect to `addr`. */
enum weir_err kernel_dial_socket(const struct addr *addr, const struct dial_options *options,
                                 int *ret_descriptor);
/* A socket on its way to `addr`, or there already. */
enum weir_err kernel_dial(const struct addr *addr, const struct dial_options *options,
                          int *ret_descriptor, bool *ret_connecting);
/* How a connect that has ended went. */
enum weir_err kernel_connect_result(int descriptor);

enum io_got kernel_recv(int descriptor, struct iobuf *buf);
/* Sends and notes what went out; true when all is out or the connection broke (op->result). */
bool kernel_send(int descriptor, struct send_op *op);
/* Notes that so many bytes went out. */
void send_op_advance(struct send_op *op, size_t bytes);

/* How many of the bytes went at once. */
size_t kernel_send_now(int descriptor, struct weir_slice bytes);

void kernel_shut(int descriptor);
/* Closing will send a reset: the peer must not take it for an end. */
void kernel_reset_at_close(int descriptor);
void kernel_close(int descriptor, bool reset);

/*
 * Closes a descriptor that the ring opened. Not by close(): TSan follows descriptors by the calls
 * that open and close them, and has not seen that the ring closed this number for another worker
 * and opened it here.
 */
void kernel_close_unseen(int descriptor);

#endif
