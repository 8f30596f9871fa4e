/* SPDX-License-Identifier: MIT */
#ifndef APP_ORIGIN_H
#define APP_ORIGIN_H

/* The small origin server of `weir --demo`: it tells what it was asked. Lives on worker 0. */

#include "server/workers.h"

struct origin;

enum weir_err origin_open(struct workers *workers, const struct addr *addr,
                          struct origin **ret_origin);
/* NULL is fine. */
void origin_close(struct origin **origin);

#endif
