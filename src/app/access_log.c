/* SPDX-License-Identifier: MIT */
/*
 * Each worker puts its lines into a ring of its own; one thread writes the rings out. That thread
 * sleeps while all rings are empty, and rests between two rounds while they are not, so that lines
 * go out in batches. A worker rings it awake from its sleep, and from its rest when there is much
 * to write.
 *
 * Sleeping and putting are the two halves of one question: the writer says that it sleeps and looks
 * at the rings again, the worker puts its line and looks whether the writer sleeps. Both orders are
 * sequentially consistent, so one of the two sees the other.
 */
#include "app/access_log.h"

#include "app/access_line.h"
#include "app/ring.h"
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MUCH_BYTES = 64 * 1024, POLL_MS = 50 };

#define REST weir_span_ms(100)
/* How long a reader that takes nothing any more may delay the end. */
#define CLOSE_PATIENCE weir_span_s(1)

struct access_part {
    struct access_log *log;
    struct ring ring;
    struct access_clock clock;
    stat_count dropped; /* lines for which there was no room */
    char line[ACCESS_LINE_BYTES];
};

struct access_log {
    int descriptor;
    bool may_block; /* unlike a file, a pipe or a terminal has a reader to wait for */
    pthread_t thread;
    sem_t bell;
    _Atomic bool rung, asleep, closing;
    struct weir_time closing_ends; /* set before `closing` */
    stat_count lost;               /* lines that could not be written */
    unsigned part_count;
    struct access_part *parts;
};

static void ring_bell(struct access_log *log)
{
    if (!atomic_exchange(&log->rung, true))
        sem_post(&log->bell);
}

void access_log_record(void *owner, const struct access_record *record)
{
    struct access_part *part = owner;
    struct access_log *log = part->log;
    size_t len = access_line_write(record, clock_wall_ms(), &part->clock, part->line);
    if (!ring_put(&part->ring, slice_of(part->line, len)))
        stat_add(&part->dropped, 1);
    if (atomic_load(&log->asleep) || ring_fill(&part->ring) >= MUCH_BYTES)
        ring_bell(log);
}

/* Waits until the descriptor takes bytes; false when the log is closing and has waited enough. */
static bool wait_for_reader(const struct access_log *log)
{
    struct pollfd pollfd = {.fd = log->descriptor, .events = POLLOUT};
    for (;;) {
        bool over =
            atomic_load(&log->closing) && weir_time_before(log->closing_ends, clock_monotonic());
        if (poll(&pollfd, 1, over ? 0 : POLL_MS) > 0)
            return true;
        if (over)
            return false;
    }
}

/* Writes what the descriptor takes; false when it takes nothing more. */
static bool write_some(const struct access_log *log, struct weir_slice *bytes)
{
    size_t len = bytes->len;
    if (log->may_block) {
        if (!wait_for_reader(log))
            return false;
        /* poll() promises room for so many; a longer write could wait for the rest. */
        len = len < PIPE_BUF ? len : PIPE_BUF;
    }
    ssize_t written = write(log->descriptor, bytes->at, len);
    if (written < 0 && errno != EINTR && errno != EAGAIN) {
        LOG_LIMITED(LOG_ERROR, "cannot write the access log: %s", strerrordesc_np(errno));
        return false;
    }
    *bytes = slice_skip(*bytes, written > 0 ? (size_t)written : 0);
    return true;
}

static void write_all(struct access_log *log, struct weir_slice bytes)
{
    while (bytes.len > 0)
        if (!write_some(log, &bytes))
            break;
    for (size_t i = 0; i < bytes.len; i++)
        stat_add(&log->lost, bytes.at[i] == '\n');
}

static bool is_empty(struct access_log *log)
{
    for (unsigned i = 0; i < log->part_count; i++)
        if (ring_fill(&log->parts[i].ring) > 0)
            return false;
    return true;
}

/* One round: writes what lies in each ring when it comes to it. False when there was nothing. */
static bool write_round(struct access_log *log)
{
    bool any = false;
    for (unsigned i = 0; i < log->part_count; i++) {
        struct weir_slice views[2];
        struct ring *ring = &log->parts[i].ring;
        ring_peek(ring, views);
        for (int k = 0; k < 2; k++) {
            any |= views[k].len > 0;
            write_all(log, views[k]);
            ring_drop(ring, views[k].len);
        }
    }
    return any;
}

static void rest(struct access_log *log)
{
    int64_t end_ns = weir_time_after(clock_monotonic(), REST).ns;
    struct timespec end = {.tv_sec = end_ns / 1000000000, .tv_nsec = end_ns % 1000000000};
    /* Woken early or by a signal: it only looks earlier. */
    (void)sem_clockwait(&log->bell, CLOCK_MONOTONIC, &end);
}

static void sleep_until_rung(struct access_log *log)
{
    atomic_store(&log->asleep, true);
    if (is_empty(log) && !atomic_load(&log->closing))
        (void)sem_wait(&log->bell);
    atomic_store(&log->asleep, false);
}

static void *write_rings(void *argument)
{
    struct access_log *log = argument;
    for (;;) {
        atomic_store(&log->rung, false);
        /* What was recorded before this was set is written by the round that follows. */
        bool closing = atomic_load(&log->closing);
        bool any = write_round(log);
        if (closing)
            return NULL;
        if (any)
            rest(log);
        else
            sleep_until_rung(log);
    }
}

static enum weir_err open_target(const char *target, int *ret_descriptor)
{
    bool is_stdout = strcmp(target, "stdout") == 0;
    int descriptor = is_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                               : open(target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0)
        return errno == EACCES || errno == EPERM || errno == EROFS ? WEIR_E_PERMISSION : WEIR_E_IO;
    *ret_descriptor = descriptor;
    return WEIR_OK;
}

static void free_log(struct access_log *log)
{
    for (unsigned i = 0; log->parts && i < log->part_count; i++)
        ring_fini(&log->parts[i].ring);
    free(log->parts);
    if (log->descriptor >= 0)
        close(log->descriptor);
    sem_destroy(&log->bell);
    free(log);
}

/* Signals are the main thread's. */
static enum weir_err start_thread(struct access_log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&log->thread, NULL, write_rings, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return WEIR_E_NO_MEMORY;
    pthread_setname_np(log->thread, "access log");
    return WEIR_OK;
}

static enum weir_err set_up(struct access_log *log, const char *target, unsigned worker_count)
{
    TRY(open_target(target, &log->descriptor));
    log->may_block = lseek(log->descriptor, 0, SEEK_CUR) < 0;
    log->parts = calloc(worker_count, sizeof *log->parts);
    if (!log->parts)
        return WEIR_E_NO_MEMORY;
    log->part_count = worker_count;
    for (unsigned i = 0; i < worker_count; i++) {
        log->parts[i].log = log;
        if (!ring_init(&log->parts[i].ring))
            return WEIR_E_NO_MEMORY;
    }
    return start_thread(log);
}

enum weir_err access_log_open(const char *target, unsigned worker_count,
                              struct access_log **ret_log)
{
    struct access_log *log = calloc(1, sizeof *log);
    if (!log)
        return WEIR_E_NO_MEMORY;
    log->descriptor = -1;
    sem_init(&log->bell, 0, 0);
    enum weir_err err = set_up(log, target, worker_count);
    if (err)
        free_log(log);
    else
        *ret_log = log;
    return err;
}

void access_log_close(struct access_log **log)
{
    struct access_log *closing = *log;
    *log = NULL;
    if (!closing)
        return;
    closing->closing_ends = weir_time_after(clock_monotonic(), CLOSE_PATIENCE);
    atomic_store(&closing->closing, true);
    sem_post(&closing->bell);
    pthread_join(closing->thread, NULL);
    free_log(closing);
}

void *access_log_part(struct access_log *log, unsigned worker)
{
    must(worker < log->part_count);
    return &log->parts[worker];
}

uint64_t access_log_dropped(const struct access_log *log)
{
    uint64_t dropped = stat_read(&log->lost);
    for (unsigned i = 0; i < log->part_count; i++)
        dropped += stat_read(&log->parts[i].dropped);
    return dropped;
}
