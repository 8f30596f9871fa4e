/* SPDX-License-Identifier: MIT */
#ifndef APP_ADMIN_H
#define APP_ADMIN_H

/* The admin pages of contract.md section 5, on a listener of worker 0's. */

#include "app/worker.h"

struct admin;

/* Binds the address, before the workers start. Errors as listener_group_open(). */
enum weir_err admin_open(struct program *program, const struct addr *addr,
                         struct admin **ret_admin);
/* Starts accepting; called on worker 0's thread when its loop is up. */
enum weir_err admin_start(struct admin *admin, struct worker *worker);
/*
 * These three are called on worker 0's thread, at the end. Until then pages are served, /ready with
 * 503 once program->draining is set. Draining accepts no more and cancels what runs; worker 0 then
 * turns its loop until the admin is idle, and only after that may any worker's loop end, since a
 * page may have asked it; stopping frees what belongs to the thread.
 */
void admin_drain(struct admin *admin);
bool admin_is_idle(const struct admin *admin);
void admin_stop(struct admin *admin);

/* NULL is fine. */
void admin_close(struct admin **admin);

/* The address it is really bound to. */
const struct addr *admin_addr(const struct admin *admin);

#endif
