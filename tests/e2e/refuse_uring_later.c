/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into weir by test_io_choice.py: who gives root up loses io_uring with it, as where
 * kernel.io_uring_disabled is 1.
 */
#define _GNU_SOURCE
#include "refuse_uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

int setuid(uid_t user)
{
    if (syscall(SYS_setuid, user) != 0)
        return -1;
    if (!refuse_uring(EPERM))
        abort();
    return 0;
}
