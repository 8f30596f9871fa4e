/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_BASE_ABORTS_H
#define TESTS_UNIT_BASE_ABORTS_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Whether fn() ends its process by a failed check; it runs in a child whose words are thrown away.
 */
static inline bool aborts(void (*fn)(void))
{
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        fn();
        _exit(0);
    }
    int status;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#endif
