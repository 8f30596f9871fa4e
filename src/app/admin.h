/* SPDX-License-Identifier: MIT */
#ifndef APP_ADMIN_H
#define APP_ADMIN_H

/* The admin pages (docs/operating.md), on a listener of worker 0's. */

#include "app/program.h"

struct admin;

/* Binds the address, before the workers start. Errors as listener_group_open(). */
enum weir_err admin_open(struct program *program, const struct addr *addr,
                         struct admin **ret_admin);
/*
 * Until the program ends pages are served, /ready with 503 once workers.draining is set; no
 * worker's loop may end before this one is idle, since a page may have asked it.
 */

/* NULL is fine. */
void admin_close(struct admin **admin);

/* The address it is really bound to. */
const struct addr *admin_addr(const struct admin *admin);

#endif
