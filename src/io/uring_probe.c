/* SPDX-License-Identifier: MIT */
#include "io/uring_probe.h"

#include "base/check.h"
#include "io/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { BUFFERS = 2, BUFFER_BYTES = 64, BUFFER_GROUP = 0 };
enum { BUFFER_RING_BYTES = BUFFERS * sizeof(struct io_uring_buf) };
enum { NAME_RECEIVE, NAME_ACCEPT, NAME_CANCEL };

/* What is tried takes microseconds where it works; a kernel where it does not may never answer. */
enum { PATIENCE_MS = 100 };

struct probing {
    struct io_uring ring;
    struct io_uring_buf_ring *buffers; /* NULL: the kernel has none */
    char bytes[BUFFERS][BUFFER_BYTES];
};

/* --- One after another ----------------------------------------------------------------------- */

/* The ring could be set up with it, or there would be none. */
static bool was_set_up(struct probing *probing, unsigned flag)
{
    return probing->ring.flags & flag;
}

static bool is_promised(struct probing *probing, unsigned bit)
{
    return probing->ring.features & bit;
}

static bool knows_operations(struct probing *probing, unsigned unused)
{
    static const int operations[] = {
        IORING_OP_ACCEPT,       IORING_OP_CONNECT,  IORING_OP_RECV,
        IORING_OP_SEND,         IORING_OP_SENDMSG,  IORING_OP_CLOSE,
        IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD, IORING_OP_READ,
    };
    struct io_uring_probe *known = io_uring_get_probe_ring(&probing->ring);
    bool all = known != NULL;
    (void)unused;
    for (size_t i = 0; known && i < COUNT_OF(operations); i++)
        all = all && io_uring_opcode_supported(known, operations[i]);
    io_uring_free_probe(known);
    return all;
}

static bool takes_buffers(struct probing *probing, unsigned unused)
{
    struct io_uring_buf_reg group = {.ring_entries = BUFFERS, .bgid = BUFFER_GROUP};
    (void)unused;
    void *page =
        mmap(NULL, BUFFER_RING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    group.ring_addr = (uintptr_t)page;
    io_uring_buf_ring_init(page);
    if (io_uring_register_buf_ring(&probing->ring, &group, 0) != 0) {
        munmap(page, BUFFER_RING_BYTES);
        return false;
    }
    probing->buffers = page;
    for (int i = 0; i < BUFFERS; i++)
        io_uring_buf_ring_add(page, probing->bytes[i], BUFFER_BYTES, (unsigned short)i,
                              io_uring_buf_ring_mask(BUFFERS), i);
    io_uring_buf_ring_advance(page, BUFFERS);
    return true;
}

static void take_back_buffers(struct probing *probing)
{
    if (!probing->buffers)
        return;
    io_uring_unregister_buf_ring(&probing->ring, BUFFER_GROUP);
    munmap(probing->buffers, BUFFER_RING_BYTES);
}

/* The next completion; false when none comes. */
static bool await(struct io_uring *ring, struct io_uring_cqe *ret_completion)
{
    struct __kernel_timespec patience = {.tv_nsec = PATIENCE_MS * 1000000LL};
    struct io_uring_cqe *completion;
    int result;
    do
        result = io_uring_submit_and_wait_timeout(ring, &completion, 1, &patience, NULL);
    while (result == -EINTR);
    if (result < 0)
        return false;
    *ret_completion = *completion;
    io_uring_cqe_seen(ring, completion);
    return true;
}

static bool goes_on(const struct io_uring_cqe *completion)
{
    return completion->res >= 0 && completion->flags & IORING_CQE_F_MORE;
}

/* What is armed holds memory and descriptors of ours: it is gone before they are. */
static void disarm(struct io_uring *ring, uint64_t name)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    struct io_uring_cqe completion;
    io_uring_prep_cancel64(entry, name, 0);
    io_uring_sqe_set_data64(entry, NAME_CANCEL);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    while (await(ring, &completion))
        if (completion.user_data == NAME_CANCEL || !(completion.flags & IORING_CQE_F_MORE))
            return; /* it has ended; or there was nothing to cancel */
}

static bool receives(struct probing *probing, const int ends[2])
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&probing->ring);
    struct io_uring_cqe completion;
    io_uring_prep_recv_multishot(entry, ends[0], NULL, 0, 0);
    io_uring_sqe_set_data64(entry, NAME_RECEIVE);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = BUFFER_GROUP;
    io_uring_submit(&probing->ring);
    for (char sent = 'a'; sent < 'a' + BUFFERS; sent++) {
        if (write(ends[1], &sent, 1) != 1 || !await(&probing->ring, &completion))
            return false;
        unsigned number = completion.flags >> IORING_CQE_BUFFER_SHIFT;
        if (!goes_on(&completion) || !(completion.flags & IORING_CQE_F_BUFFER) ||
            number >= BUFFERS || completion.res != 1 || probing->bytes[number][0] != sent)
            return false;
    }
    return true;
}

static bool receives_again(struct probing *probing, unsigned unused)
{
    int ends[2];
    (void)unused;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    bool good = receives(probing, ends);
    disarm(&probing->ring, NAME_RECEIVE);
    close(ends[0]);
    close(ends[1]);
    return good;
}

static int local_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Binding to a family alone has the kernel make up a name, outside the file system. */
static int listen_anywhere(struct addr *ret_addr)
{
    const struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    int listener = local_socket();
    if (listener < 0)
        return -1;
    if (bind(listener, (const struct sockaddr *)&nameless, sizeof nameless.sun_family) == 0 &&
        listen(listener, 1) == 0 && kernel_bound(listener, ret_addr) == WEIR_OK)
        return listener;
    close(listener);
    return -1;
}

static bool connect_and_await(struct io_uring *ring, const struct addr *addr)
{
    struct io_uring_cqe completion;
    int client = local_socket();
    bool good = client >= 0 && connect(client, &addr->any, addr->len) == 0 &&
                await(ring, &completion) && goes_on(&completion);
    if (good)
        close(completion.res);
    if (client >= 0)
        close(client);
    return good;
}

static bool accepts_again(struct probing *probing, unsigned unused)
{
    struct addr addr;
    struct io_uring *ring = &probing->ring;
    int listener = listen_anywhere(&addr);
    (void)unused;
    if (listener < 0)
        return false;
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(entry, NAME_ACCEPT);
    io_uring_submit(ring);
    bool good = connect_and_await(ring, &addr) && connect_and_await(ring, &addr);
    disarm(ring, NAME_ACCEPT);
    close(listener);
    return good;
}

static bool registers_ring(struct probing *probing, unsigned unused)
{
    (void)unused;
    return io_uring_register_ring_fd(&probing->ring) == 1;
}

/* --- The table ------------------------------------------------------------------------------- */

enum need { OPTIONAL, NEEDED };

const struct uring_feature_row uring_features[URING_FEATURES] = {
#define X(NAME, name, since, need, check, argument, fallback) {name, since, need, fallback},
#include "io/uring_feature.def"
#undef X
};

static const struct {
    bool (*check)(struct probing *probing, unsigned argument);
    unsigned argument;
} checks[URING_FEATURES] = {
#define X(NAME, name, since, need, check, argument, fallback) {check, argument},
#include "io/uring_feature.def"
#undef X
};

static void try_all(struct probing *probing, struct uring_probe *probe)
{
    for (unsigned i = 0; i < URING_FEATURES; i++) {
        probe->has[i] = checks[i].check(probing, checks[i].argument);
        if (probe->has[i] || !uring_features[i].is_needed)
            continue;
        probe->err = WEIR_E_IO;
        snprintf(probe->reason, sizeof probe->reason,
                 "io_uring lacks %s here, which came with "
                 "Linux %s; this is %s",
                 uring_features[i].name, uring_features[i].since, probe->kernel);
        return;
    }
}

/* --- Why there is no ring -------------------------------------------------------------------- */

/* "6.1.0-13-amd64" is "Linux 6.1" to people. */
static void name_kernel(struct uring_probe *probe)
{
    struct utsname name;
    unsigned version, patchlevel;
    if (uname(&name) == 0 && sscanf(name.release, "%u.%u", &version, &patchlevel) == 2)
        snprintf(probe->kernel, sizeof probe->kernel, "Linux %u.%u", version, patchlevel);
    else
        snprintf(probe->kernel, sizeof probe->kernel, "an unknown kernel");
}

/* The setting of kernel.io_uring_disabled; '0' where there is none (before Linux 6.6). */
static char read_disabled(void)
{
    char digit = '0';
    int file = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return digit;
    if (read(file, &digit, 1) != 1)
        digit = '0';
    close(file);
    return digit;
}

static const char *why_not_allowed(void)
{
    switch (read_disabled()) {
    case '2':
        return "io_uring is not allowed: kernel.io_uring_disabled is 2";
    case '1':
        return "io_uring is not allowed: kernel.io_uring_disabled is 1, which leaves it to root "
               "and "
               "the group of kernel.io_uring_group";
    default:
        return "io_uring is not allowed: a seccomp filter or another policy forbids it, as that of "
               "a container often does";
    }
}

static void explain(struct uring_probe *probe, int number)
{
    probe->err = kernel_err(number);
    switch (number) {
    case ENOSYS:
        snprintf(probe->reason, sizeof probe->reason,
                 "this kernel has no io_uring, or a seccomp filter hides it");
        break;
    case EPERM:
    case EACCES:
        snprintf(probe->reason, sizeof probe->reason, "%s", why_not_allowed());
        break;
    case EINVAL:
        snprintf(probe->reason, sizeof probe->reason,
                 "weir needs the io_uring of Linux %s, and this is %s",
                 uring_features[URING_DEFERRED].since, probe->kernel);
        break;
    case ENOMEM:
        snprintf(probe->reason, sizeof probe->reason,
                 "the kernel gives no memory to io_uring: see the limit of locked memory "
                 "(ulimit -l) and that of the container");
        break;
    default:
        snprintf(probe->reason, sizeof probe->reason, "io_uring cannot be set up: %s",
                 strerror(number));
        break;
    }
}

/* --- All of it ------------------------------------------------------------------------------- */

void uring_probe(struct uring_probe *ret_probe)
{
    enum { ENTRIES = 4 };
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL};
    struct probing probing = {.buffers = NULL};
    *ret_probe = (struct uring_probe){.err = WEIR_OK};
    name_kernel(ret_probe);
    int result = io_uring_queue_init_params(ENTRIES, &probing.ring, &params);
    if (result < 0) {
        explain(ret_probe, -result);
        return;
    }
    try_all(&probing, ret_probe);
    take_back_buffers(&probing);
    io_uring_queue_exit(&probing.ring);
}
