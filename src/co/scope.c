/* SPDX-License-Identifier: MIT */
#include "co/scope.h"

#include "base/check.h"
#include "co/wait.h"

void scope_init(struct scope *scope)
{
    list_init(&scope->children);
    scope->joiner = NULL;
}

enum weir_err scope_spawn(struct scope *scope, const char *name, co_fn *fn, void *argument)
{
    return co_spawn(sched_here(), scope, name, fn, argument, NULL);
}

void scope_cancel(struct scope *scope)
{
    list_each(link, &scope->children)
        co_cancel(container_of(link, struct co, scope_link));
}

enum weir_err scope_join(struct scope *scope)
{
    enum weir_err err = WEIR_OK;
    must(!scope->joiner);
    scope->joiner = co_self();
    while (!scope_is_empty(scope)) {
        if (err == WEIR_E_CANCELED) {
            co_wait_firm();
        } else {
            err = co_wait(WEIR_NEVER);
            if (err == WEIR_E_CANCELED)
                scope_cancel(scope);
        }
    }
    scope->joiner = NULL;
    return err;
}
