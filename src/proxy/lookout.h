/* SPDX-License-Identifier: MIT */
#ifndef PROXY_LOOKOUT_H
#define PROXY_LOOKOUT_H

/*
 * Watches the servers of a service for all its workers: asks for their names again when the answers
 * age, and checks their health. The first worker has it; what it sees goes to every worker as a
 * roster, by mail.
 */

#include <weir/err.h>

#include <stdbool.h>

struct lookout;
struct service;

/*
 * Starts; the other workers' parts of the service must be there when the loop turns. *ret_lookout
 * stays NULL where no server has a name and none is checked. WEIR_E_NO_MEMORY, _ADDRESS, _IO.
 */
enum weir_err lookout_start(struct service *service, struct lookout **ret_lookout);
/* Asks and checks no more; nothing goes to other workers after this. NULL is fine. */
void lookout_stop(struct lookout *lookout);
/* Whether all that it began is over; NULL: yes. */
bool lookout_has_ended(const struct lookout *lookout);
/* It must have ended (checked). Nulls the pointer; NULL is fine. */
void lookout_close(struct lookout **lookout);

#endif
