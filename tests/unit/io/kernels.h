/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_KERNELS_H
#define TESTS_UNIT_IO_KERNELS_H

/* The backends that stand for a kernel, for tests that run over each of them. */

#include "io/backend.h"
#include "tests/check.h"

#include <dirent.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Whether a test may have this backend; else it is told as skipped. The kernel is asked past the
 * code under test, whose own refusal would be a failure.
 */
__attribute__((unused)) static bool kernel_offers(const struct backend_ops *ops)
{
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    if (ops != &uring_ops)
        return true;
    int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (ring < 0) {
        check_skip("the kernel refuses io_uring, or is older than Linux 6.1");
        return false;
    }
    close(ring);
    return true;
}

/* How many descriptors this process has. */
__attribute__((unused)) static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!CHECK(folder != NULL))
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* One test over each of them: `run` is given the backend. */
#define TEST_EACH_KERNEL(test_name, run)                                                           \
    TEST(test_name##_over_epoll)                                                                   \
    {                                                                                              \
        run(&epoll_ops);                                                                           \
    }                                                                                              \
    TEST(test_name##_over_uring)                                                                   \
    {                                                                                              \
        if (kernel_offers(&uring_ops))                                                             \
            run(&uring_ops);                                                                       \
    }

#endif
