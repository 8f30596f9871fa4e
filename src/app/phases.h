/* SPDX-License-Identifier: MIT */
#ifndef APP_PHASES_H
#define APP_PHASES_H

/* The phases that weir_main_phases() has brought, and the services of a configuration. */

#include "config/snapshot.h"

/*
 * Gives each service its phases. A name that no service has is told like a mistake in `file`:
 * WEIR_E_CONFIG.
 */
enum weir_err phases_give(const char *file, struct snapshot *snapshot, struct buf *messages);

#endif
