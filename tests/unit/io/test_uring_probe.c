/* SPDX-License-Identifier: MIT */
/* What the kernel can do, and why it cannot: refusals are real ones, by a seccomp filter. */
#include "io/uring_probe.h"

#include "base/check.h"
#include "tests/unit/io/kernels.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Calls whose second argument lies in a range fail. */
struct refusal {
    unsigned call, low, high;
    int error;
};

enum { ANY = 0xffffffff, PROBE = 8, RING_FDS = 20, BUFFER_RING = 22 };

/* Where they lie in what a filter is shown; of the argument its lower half. */
enum { CALL_NUMBER = 0, SECOND_ARGUMENT = 24 };
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "else its lower half lies at 28");

/* From now on, for this process. */
static bool refuse(const struct refusal *refusal)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, CALL_NUMBER),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refusal->call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SECOND_ARGUMENT),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, refusal->low, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, refusal->high, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)refusal->error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof steps[0], steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* What kernel.io_uring_disabled says, for this process alone; takes root. */
static bool pretend_disabled(const char *text)
{
    char path[] = "/tmp/weir-test-XXXXXX";
    int file = mkstemp(path);
    bool good = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text) &&
                unshare(CLONE_NEWNS) == 0 &&
                mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                mount(path, "/proc/sys/kernel/io_uring_disabled", NULL, MS_BIND, NULL) == 0;
    close(file);
    unlink(path);
    return good;
}

struct outcome {
    struct uring_probe probe;
    bool set_up; /* the child could be made what it should be */
    unsigned before, after;
};

/* A probe in a process of its own, since a filter stays. `disabled` may be NULL. */
static struct outcome probe_under(const struct refusal *refusal, const char *disabled)
{
    struct outcome *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        shared->set_up = (!disabled || pretend_disabled(disabled)) && refuse(refusal);
        shared->before = count_descriptors();
        if (shared->set_up)
            uring_probe(&shared->probe);
        shared->after = count_descriptors();
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    struct outcome outcome = *shared;
    munmap(shared, sizeof *shared);
    return outcome;
}

static void check_refused(const struct refusal *refusal, enum weir_err err, const char *reason)
{
    struct outcome outcome = probe_under(refusal, NULL);
    CHECK(outcome.set_up);
    CHECK_EQ(err, outcome.probe.err);
    CHECK_EQ(outcome.before, outcome.after);
    if (!CHECK(strstr(outcome.probe.reason, reason)))
        printf("# it is: %s\n", outcome.probe.reason);
}

TEST(a_kernel_that_can_has_all_that_is_needed)
{
    struct uring_probe probe;
    if (!kernel_offers(&uring_ops))
        return;
    uring_probe(&probe);
    CHECK_OK(probe.err);
    CHECK_SLICE(((struct weir_slice){probe.reason, strlen(probe.reason)}), "");
    CHECK(strncmp(probe.kernel, "Linux ", 6) == 0);
    for (unsigned i = 0; i < URING_FEATURES; i++)
        if (uring_features[i].is_needed && !CHECK(probe.has[i]))
            printf("# %s\n", uring_features[i].name);
}

TEST(it_leaves_nothing_behind)
{
    struct uring_probe probe;
    unsigned before = count_descriptors();
    for (unsigned i = 0; i < 20; i++)
        uring_probe(&probe);
    CHECK_EQ(before, count_descriptors());
}

TEST(a_ring_that_is_refused)
{
    static const struct {
        int error;
        enum weir_err err;
        const char *reason;
    } rows[] = {
        {ENOSYS, WEIR_E_IO, "this kernel has no io_uring, or a seccomp filter hides it"},
        {EPERM, WEIR_E_PERMISSION, "io_uring is not allowed: "},
        {EACCES, WEIR_E_PERMISSION, "io_uring is not allowed: "},
        {EINVAL, WEIR_E_IO, "weir needs the io_uring of Linux 6.1, and this is Linux "},
        {ENOMEM, WEIR_E_NO_MEMORY, "ulimit -l"},
        {EMFILE, WEIR_E_NO_DESCRIPTORS, "io_uring cannot be set up: Too many open files"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct refusal refusal = {SYS_io_uring_setup, 0, ANY, rows[i].error};
        check_refused(&refusal, rows[i].err, rows[i].reason);
    }
}

TEST(a_feature_that_is_needed_and_not_there)
{
    static const struct {
        struct refusal refusal;
        const char *reason;
    } rows[] = {
        {{SYS_io_uring_register, PROBE, PROBE, EINVAL},
         "io_uring lacks socket operations here, which came with Linux 5.6; this is Linux "},
        {{SYS_io_uring_register, BUFFER_RING, BUFFER_RING, EINVAL},
         "io_uring lacks provided buffers here, which came with Linux 5.19"},
        {{SYS_io_uring_enter, 0, ANY, EINVAL}, "io_uring lacks multishot receive here"},
        {{SYS_listen, 0, ANY, EPERM}, "io_uring lacks multishot accept here"},
    };
    if (!kernel_offers(&uring_ops))
        return;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_refused(&rows[i].refusal, WEIR_E_IO, rows[i].reason);
}

TEST(a_feature_that_has_a_fallback_may_be_missing)
{
    static const struct refusal refusal = {SYS_io_uring_register, RING_FDS, RING_FDS, EINVAL};
    if (!kernel_offers(&uring_ops))
        return;
    struct outcome outcome = probe_under(&refusal, NULL);
    CHECK_OK(outcome.probe.err);
    CHECK(!outcome.probe.has[URING_RING_DESCRIPTOR]);
    CHECK(!uring_features[URING_RING_DESCRIPTOR].is_needed);
    CHECK(outcome.probe.has[URING_MULTISHOT_ACCEPT]);
    CHECK_EQ(outcome.before, outcome.after);
}

TEST(who_does_not_allow_it_is_told)
{
    static const struct refusal refusal = {SYS_io_uring_setup, 0, ANY, EPERM};
    static const char *const rows[][2] = {
        {"0\n", "seccomp"},
        {"1\n", "kernel.io_uring_disabled is 1"},
        {"2\n", "kernel.io_uring_disabled is 2"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct outcome outcome = probe_under(&refusal, rows[i][0]);
        if (!outcome.set_up) {
            check_skip("pretending a setting takes root, and Linux 6.6");
            return;
        }
        CHECK(strstr(outcome.probe.reason, rows[i][1]));
    }
}

CHECK_MAIN
