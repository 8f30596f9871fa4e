/* SPDX-License-Identifier: MIT */
/* refuse_uring ERRNO PROGRAM [ARGUMENT...]: runs it where io_uring_setup() fails with that errno.
 */
#include "refuse_uring.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s ERRNO PROGRAM [ARGUMENT...]\n", argv[0]);
        return 2;
    }
    if (!refuse_uring((unsigned)strtoul(argv[1], NULL, 10))) {
        perror("seccomp");
        return 1;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 1;
}
