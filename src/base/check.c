/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void (*_Atomic check_reporter)(void);

void check_set_reporter(void (*reporter)(void))
{
    atomic_store(&check_reporter, reporter);
}

void check_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "weir: %s:%d: broken invariant: %s\n", file, line, condition);
    void (*reporter)(void) = atomic_exchange(&check_reporter, NULL);
    if (reporter)
        reporter();
    fflush(stderr);
    abort();
}
