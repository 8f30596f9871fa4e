/* SPDX-License-Identifier: MIT */
#ifndef STREAM_PAIR_H
#define STREAM_PAIR_H

/* Two ends joined in memory, for subrequests and for tests. Both belong to the same worker. */

#include "stream/stream.h"

/*
 * What one end has sent and the other has not received is limited to `capacity` bytes: a sender
 * waits beyond that. Each end is closed on its own. WEIR_E_NO_MEMORY.
 */
enum weir_err stream_pair(struct loop *loop, size_t capacity, struct stream **ret_a,
                          struct stream **ret_b);

#endif
