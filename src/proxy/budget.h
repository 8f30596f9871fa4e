/* SPDX-License-Identifier: MIT */
#ifndef PROXY_BUDGET_H
#define PROXY_BUDGET_H

/*
 * How many requests of an upstream may be tried on another server: a part of all requests, so that
 * servers in trouble are not given more to do. Each request saves up that part of a try, and each
 * try spends one; a few are in hand from the beginning and at most, so that a quiet upstream has
 * some too. One worker's. Pure.
 */

#include <stdbool.h>

enum { BUDGET_TRIES_MAX = 10 };

struct budget {
    unsigned percent;
    unsigned saved; /* hundredths of a try */
};

void budget_init(struct budget *budget, unsigned percent);
/* A request has come. */
void budget_save(struct budget *budget);
/* Whether there is a try in hand; and spends it, if so. */
bool budget_has(const struct budget *budget);
bool budget_spend(struct budget *budget);

#endif
