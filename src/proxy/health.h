/* SPDX-License-Identifier: MIT */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

/*
 * What the checks of one server say of it: it is well at first, unwell after `fall` checks in a row
 * that failed, and well again after `rise` in a row that passed. Pure.
 */

#include "proxy/options.h"

struct health {
    bool unwell;
    unsigned against; /* so many checks in a row spoke against what it is */
};

/* Notes a check. True: it is now what it was not before. */
bool health_note(struct health *health, const struct health_options *options, bool passed);

/* Whether a response's status passes the check. */
bool health_passes(unsigned status);

#endif
