/* SPDX-License-Identifier: MIT */
/*
 * The transport "exec:command": a connection is a child process of its own, which a shell runs, and
 * goes over its standard input and output. Written as any program writes a transport, against
 * <weir/...> alone.
 *
 * A child is told of the end twice: its input ends, and its process group gets SIGTERM. Nobody
 * waits for it: who opens or closes a connection later looks after those that have not ended, and
 * kills who takes too long. A library has no signal handlers, so there is no SIGCHLD here.
 */
#include <weir/loop.h>
#include <weir/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLICES_MAX = 32, KILL_AFTER_S = 3, EXIT_TRIES = 50, EXIT_TRY_MS = 10 };

struct child {
    struct child *next; /* in `ending` */
    int descriptor;
    pid_t pid; /* and its process group */
    struct weir_time kill_at;
};

/* Those whose connection is closed and that were not seen to end yet, of all threads. */
static struct child *ending;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- Ends ------------------------------------------------------------------------------------ */

/* One that somebody else has waited for is gone too. */
static bool has_ended(const struct child *child)
{
    return waitpid(child->pid, NULL, WNOHANG) != 0;
}

/* Frees who has ended, and kills who takes longer than until `now` allows. */
static void reap(struct weir_time now)
{
    for (struct child **at = &ending; *at;) {
        struct child *child = *at;
        if (has_ended(child)) {
            *at = child->next;
            free(child);
            continue;
        }
        if (weir_time_before(child->kill_at, now)) {
            kill(-child->pid, SIGKILL);
            child->kill_at = WEIR_NEVER;
        }
        at = &child->next;
    }
}

static void reap_now(void)
{
    pthread_mutex_lock(&lock);
    reap(weir_now());
    pthread_mutex_unlock(&lock);
}

static void exec_close(void *conn, bool cut)
{
    struct child *child = conn;
    (void)cut; /* a socket of this kind has but one end */
    close(child->descriptor);
    kill(-child->pid, SIGTERM); /* its own id: nobody has waited for it */
    child->kill_at = weir_in(weir_span_s(KILL_AFTER_S));
    pthread_mutex_lock(&lock);
    child->next = ending;
    ending = child;
    reap(weir_now());
    pthread_mutex_unlock(&lock);
}

/* The process ends: its children get a moment to do so, and no more. */
__attribute__((destructor)) static void end_all(void)
{
    for (int i = 0; i < EXIT_TRIES && ending; i++) {
        reap((struct weir_time){0});
        if (ending)
            poll(NULL, 0, EXIT_TRY_MS);
    }
    reap(WEIR_NEVER);
}

/* --- Begins ---------------------------------------------------------------------------------- */

static enum weir_err err_of(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
        return WEIR_E_NO_DESCRIPTORS;
    case ENOMEM:
        return WEIR_E_NO_MEMORY;
    case EAGAIN:
        return WEIR_E_LIMIT;
    default:
        return WEIR_E_IO;
    }
}

/* A signal mask and handlers as a program expects them, and a process group to be ended by. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
}

/* Everything else that is open is closed by its own flag. */
static int set_files(posix_spawn_file_actions_t *files, int descriptor)
{
    int error = posix_spawn_file_actions_adddup2(files, descriptor, STDIN_FILENO);
    return error ? error : posix_spawn_file_actions_adddup2(files, descriptor, STDOUT_FILENO);
}

/* 0, or what errno would be. */
static int spawn_shell(const char *command, int descriptor, pid_t *ret_pid)
{
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&files);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = set_files(&files, descriptor);
        if (!error)
            error = set_attributes(&attributes);
        if (!error)
            error = posix_spawn(ret_pid, "/bin/sh", &files, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* Two ends; only ours does not block. */
static int open_pair(int ret_ends[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_ends) != 0)
        return errno;
    if (fcntl(ret_ends[0], F_SETFL, O_NONBLOCK) == 0)
        return 0;
    int error = errno;
    close(ret_ends[0]);
    close(ret_ends[1]);
    return error;
}

static int begin(struct child *child, const char *command)
{
    int ends[2];
    int error = open_pair(ends);
    if (error)
        return error;
    error = spawn_shell(command, ends[1], &child->pid);
    close(ends[1]);
    if (error)
        close(ends[0]);
    else
        child->descriptor = ends[0];
    return error;
}

WEIR_SUSPENDS static enum weir_err exec_open(const struct weir_transport_to *to, void **ret_conn)
{
    struct child *child = calloc(1, sizeof *child);
    if (!child)
        return WEIR_E_NO_MEMORY;
    reap_now();
    int error = begin(child, to->address);
    if (error) {
        free(child);
        return err_of(error);
    }
    *ret_conn = child;
    return WEIR_OK;
}

/* --- Bytes ----------------------------------------------------------------------------------- */

/* What comes to nothing now, and what has broken. */
static enum weir_err failed(size_t *ret_count)
{
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return WEIR_E_RESET;
    *ret_count = 0;
    return WEIR_OK;
}

static enum weir_err exec_read(void *conn, char *bytes, size_t size, size_t *ret_count)
{
    const struct child *child = conn;
    ssize_t count = recv(child->descriptor, bytes, size, 0);
    if (count < 0)
        return failed(ret_count);
    *ret_count = (size_t)count;
    return count > 0 ? WEIR_OK : WEIR_E_EOF;
}

static enum weir_err exec_write(void *conn, const struct weir_slice *slices, unsigned count,
                                size_t *ret_count)
{
    const struct child *child = conn;
    struct iovec parts[SLICES_MAX];
    struct msghdr message = {.msg_iov = parts};
    for (; message.msg_iovlen < count && message.msg_iovlen < SLICES_MAX; message.msg_iovlen++)
        parts[message.msg_iovlen] =
            (struct iovec){.iov_base = (void *)(uintptr_t)slices[message.msg_iovlen].at,
                           .iov_len = slices[message.msg_iovlen].len};
    ssize_t sent = sendmsg(child->descriptor, &message, MSG_NOSIGNAL);
    if (sent < 0)
        return failed(ret_count);
    *ret_count = (size_t)sent;
    return WEIR_OK;
}

static int exec_descriptor(void *conn)
{
    return ((const struct child *)conn)->descriptor;
}

static void exec_shut(void *conn)
{
    shutdown(exec_descriptor(conn), SHUT_WR);
}

const struct weir_byte_transport exec_transport = {
    .name = "exec",
    .moves = true,
    .open = exec_open,
    .read = exec_read,
    .write = exec_write,
    .descriptor = exec_descriptor,
    .shut = exec_shut,
    .close = exec_close,
};
