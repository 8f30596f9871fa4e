/* SPDX-License-Identifier: MIT */
#include "downstream/listener.h"

#include "base/check.h"

#include <stdlib.h>

enum { BACKLOG = 4096 };

/* An accepted connection on its way to another worker. */
struct handover {
    struct mail mail;
    struct downstream *to;
    const struct listener_options *options;
    int descriptor;
    struct addr from;
};

enum weir_err listener_group_open(struct listener_group *group, const struct backend_ops *ops,
                                  struct backend *backend, const struct listener_options *options)
{
    struct listen_options how = {.backlog = BACKLOG};
    group->options = *options;
    TRY(ops->listen(backend, &options->addr, &how, &group->descriptor));
    return ops->bound(backend, group->descriptor, &group->options.addr);
}

void listener_group_close(struct listener_group *group, const struct backend_ops *ops,
                          struct backend *backend)
{
    if (group->descriptor >= 0)
        ops->close_descriptor(backend, group->descriptor);
    group->descriptor = -1;
}

static unsigned load_of(struct downstream *downstream)
{
    return atomic_load_explicit(&downstream->load, memory_order_relaxed);
}

/* The worker with the least load; this one where it is as good as any. */
static struct downstream *choose(const struct listener *listener)
{
    const struct listener_group *group = listener->group;
    struct downstream *best = listener->downstream;
    unsigned best_load = load_of(best);
    for (unsigned i = 0; i < group->worker_count; i++) {
        unsigned load = load_of(group->workers[i]);
        if (load < best_load) {
            best = group->workers[i];
            best_load = load;
        }
    }
    return best;
}

static void deliver(struct mail *mail)
{
    struct handover *handover = container_of(mail, struct handover, mail);
    downstream_open(handover->to, handover->options, handover->descriptor, &handover->from);
    free(handover);
}

static void on_accepted(struct sock *sock, int descriptor, const struct addr *from)
{
    struct listener *listener = container_of(sock, struct listener, sock);
    struct downstream *to = choose(listener);
    struct handover *handover = to == listener->downstream ? NULL : malloc(sizeof *handover);
    if (!handover)
        to = listener->downstream;
    atomic_fetch_add_explicit(&to->load, 1, memory_order_relaxed);
    if (!handover) {
        downstream_open(to, &listener->group->options, descriptor, from);
        return;
    }
    *handover =
        (struct handover){{.deliver = deliver}, to, &listener->group->options, descriptor, *from};
    loop_post(to->loop, &handover->mail);
}

enum weir_err listener_start(struct listener *listener, struct listener_group *group,
                             struct downstream *downstream)
{
    listener->downstream = downstream;
    TRY(sock_accept(downstream->loop, &listener->sock, group->descriptor, on_accepted, listener));
    listener->group = group;
    atomic_fetch_add(&group->accepting, 1);
    return WEIR_OK;
}

void listener_stop(struct listener *listener)
{
    struct listener_group *group = listener->group;
    if (!group)
        return;
    listener->group = NULL;
    sock_close(&listener->sock, false);
    if (atomic_fetch_sub(&group->accepting, 1) == 1)
        listener_group_close(group, listener->downstream->loop->ops,
                             listener->downstream->loop->backend);
}
