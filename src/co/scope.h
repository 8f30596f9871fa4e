/* SPDX-License-Identifier: MIT */
#ifndef CO_SCOPE_H
#define CO_SCOPE_H

/*
 * Children that cannot outlive their block: the scope lives in a frame, and scope_join() comes
 * before the frame is left, on every way out.
 */

#include "co/co.h"
#include <weir/suspends.h>

struct scope {
    struct list children;
    struct co *joiner;
};

void scope_init(struct scope *scope);

/* A child of this scope; it may itself be canceled through the scope only. Errors as co_spawn(). */
enum weir_err scope_spawn(struct scope *scope, const char *name, co_fn *fn, void *argument);

static inline bool scope_is_empty(const struct scope *scope)
{
    return list_is_empty(&scope->children);
}

/* Cancels every child; they end when their waits have returned. */
void scope_cancel(struct scope *scope);

/*
 * Waits until every child has ended. If the caller is canceled meanwhile the children are canceled
 * too and it waits on, since they use what lies in its frame; then WEIR_E_CANCELED is returned.
 */
WEIR_SUSPENDS enum weir_err scope_join(struct scope *scope);

#endif
