/* SPDX-License-Identifier: MIT */
#include "client/loop.h"

#include "base/check.h"
#include "co/wait.h"
#include "io/choose.h"
#include "io/poller.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { COROUTINES_MAX = 100000 };

struct weir_scope {
    struct scope scope;
    struct weir_loop *loop;
};

_Static_assert((int)WEIR_IO_AUTO == IO_AUTO && (int)WEIR_IO_URING == IO_URING &&
                   (int)WEIR_IO_EPOLL == IO_EPOLL,
               "one is the other");

enum weir_err client_loop_init(struct weir_loop *loop, const struct loop_options *options)
{
    TRY(loop_init(&loop->loop, options));
    streams_init(&loop->streams, &loop->loop);
    list_init(&loop->family.pools);
    scope_init(&loop->spawned);
    slab_init(&loop->scopes, "scope", sizeof(struct weir_scope));
    loop->fd = (struct loop_fd){-1, -1};
    return WEIR_OK;
}

void client_loop_fini(struct weir_loop *loop)
{
    must(scope_is_empty(&loop->spawned));
    must(list_is_empty(&loop->family.pools)); /* a connector was not freed */
    loop_fd_close(&loop->fd);
    slab_fini(&loop->scopes);
    streams_fini(&loop->streams);
    loop_fini(&loop->loop);
}

void weir_loop_options_init(struct weir_loop_options *options)
{
    *options = (struct weir_loop_options){.io = WEIR_IO_AUTO, .coroutines_max = COROUTINES_MAX};
}

/* What the kernel can do is found out by trying it, which takes a while: once for all loops. */
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;
static const struct backend_ops *chosen;
static enum weir_err not_chosen;

/* Who runs a program may have a say in what its author left open. */
static enum io_choice choice_of_environment(void)
{
    const char *wanted = getenv("WEIR_IO");
    if (wanted && strcmp(wanted, "epoll") == 0)
        return IO_EPOLL;
    return wanted && strcmp(wanted, "uring") == 0 ? IO_URING : IO_AUTO;
}

static void choose_once(void)
{
    char text[BACKEND_TEXT_SIZE];
    not_chosen = backend_choose(choice_of_environment(), text, &chosen);
}

enum weir_err client_loop_choose(enum weir_io io, const struct backend_ops **ret_ops)
{
    char text[BACKEND_TEXT_SIZE];
    if (io != WEIR_IO_AUTO)
        return backend_choose((enum io_choice)io, text, ret_ops);
    pthread_once(&chosen_once, choose_once);
    TRY(not_chosen);
    *ret_ops = chosen;
    return WEIR_OK;
}

enum weir_err weir_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop)
{
    struct weir_loop_options defaults;
    struct loop_options inner = {.ops = NULL};
    weir_loop_options_init(&defaults);
    options = options ? options : &defaults;
    inner.co_limit = options->coroutines_max;
    TRY(client_loop_choose(options->io, &inner.ops));
    struct weir_loop *loop = malloc(sizeof *loop);
    if (!loop)
        return WEIR_E_NO_MEMORY;
    enum weir_err err = client_loop_init(loop, &inner);
    if (err)
        free(loop);
    else
        *ret_loop = loop;
    return err;
}

void weir_loop_free(struct weir_loop **loop)
{
    struct weir_loop *ending = *loop;
    if (!ending)
        return;
    must(!co_self());
    while (weir_loop_is_busy(ending)) {
        scope_cancel(&ending->spawned);
        loop_run_ready(&ending->loop);
        scope_cancel(&ending->spawned); /* those too that were begun just now */
        if (weir_loop_is_busy(ending))
            loop_wait(&ending->loop, WEIR_NEVER);
    }
    client_loop_fini(ending);
    free(ending);
    *loop = NULL;
}

void weir_loop_run(struct weir_loop *loop)
{
    must(!co_self());
    loop_read_clock(&loop->loop); /* the program may have been busy for long */
    for (;;) {
        loop_run_ready(&loop->loop);
        if (scope_is_empty(&loop->spawned) || atomic_load(&loop->loop.stopping))
            break;
        loop_wait(&loop->loop, WEIR_NEVER);
    }
    atomic_store(&loop->loop.stopping, false);
    if (loop->fd.descriptor >= 0) /* timers may have come and gone */
        loop_fd_arm(&loop->fd, &loop->loop, !sched_is_idle(&loop->loop.sched));
}

void weir_loop_stop(struct weir_loop *loop)
{
    loop_stop(&loop->loop);
}

enum weir_err weir_loop_fd(struct weir_loop *loop, int *ret_descriptor)
{
    if (loop->fd.descriptor < 0)
        TRY(loop_fd_open(&loop->fd, &loop->loop));
    *ret_descriptor = loop->fd.descriptor;
    return WEIR_OK;
}

void weir_loop_step(struct weir_loop *loop)
{
    must(!co_self());
    bool more = loop_step(&loop->loop);
    if (loop->fd.descriptor >= 0)
        loop_fd_arm(&loop->fd, &loop->loop, more);
}

bool weir_loop_is_busy(const struct weir_loop *loop)
{
    return !scope_is_empty(&loop->spawned);
}

enum weir_err weir_run(const struct weir_loop_options *options, weir_fn *fn, void *argument)
{
    struct weir_loop *loop = NULL;
    TRY(weir_loop_new(options, &loop));
    enum weir_err err = weir_spawn(loop, fn, argument);
    if (!err)
        weir_loop_run(loop);
    weir_loop_free(&loop);
    return err;
}

struct weir_loop *weir_loop_here(void)
{
    return container_of(loop_here(), struct weir_loop, loop);
}

enum weir_err weir_spawn(struct weir_loop *loop, weir_fn *fn, void *argument)
{
    return co_spawn(&loop->loop.sched, &loop->spawned, "spawned", fn, argument, NULL);
}

struct weir_time weir_now(void)
{
    return loop_now(loop_here());
}

struct weir_time weir_in(struct weir_span span)
{
    return loop_deadline(loop_here(), span);
}

enum weir_err weir_sleep(struct weir_span span)
{
    return co_sleep(span);
}

enum weir_err weir_yield(void)
{
    return co_yield ();
}

/* Descriptors. */

struct descriptor_wait {
    struct poller poller;
    struct co *co;
    bool ready;
};

static void on_ready(struct poller *poller, bool readable, bool writable)
{
    struct descriptor_wait *wait = container_of(poller, struct descriptor_wait, poller);
    (void)readable;
    (void)writable;
    wait->ready = true;
    co_wake(wait->co);
}

enum weir_err weir_wait_fd(int descriptor, unsigned wanted, struct weir_time deadline)
{
    struct descriptor_wait wait = {.co = co_self()};
    enum weir_err err = WEIR_OK;
    must(wait.co && wanted);
    TRY(poller_start(loop_here(), &wait.poller, descriptor, wanted & WEIR_READABLE,
                     wanted & WEIR_WRITABLE, on_ready));
    while (!wait.ready && !err)
        err = co_wait(deadline);
    poller_stop(&wait.poller);
    return wait.ready && err != WEIR_E_CANCELED ? WEIR_OK : err;
}

/* Scopes. */

enum weir_err weir_scope_open(struct weir_scope **ret_scope)
{
    struct weir_loop *loop = weir_loop_here();
    struct weir_scope *scope = slab_alloc(&loop->scopes);
    if (!scope)
        return WEIR_E_NO_MEMORY;
    scope_init(&scope->scope);
    scope->loop = loop;
    *ret_scope = scope;
    return WEIR_OK;
}

enum weir_err weir_scope_spawn(struct weir_scope *scope, weir_fn *fn, void *argument)
{
    return scope_spawn(&scope->scope, "child", fn, argument);
}

void weir_scope_cancel(struct weir_scope *scope)
{
    scope_cancel(&scope->scope);
}

enum weir_err weir_scope_join(struct weir_scope **scope)
{
    enum weir_err err = scope_join(&(*scope)->scope);
    slab_free(&(*scope)->loop->scopes, *scope);
    *scope = NULL;
    return err;
}
