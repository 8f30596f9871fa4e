/* SPDX-License-Identifier: MIT */
#include "server/local.h"

#include "base/check.h"
#include "server/workers.h"

enum weir_err local_open(struct local *local, struct workers *workers, const struct addr *addr,
                         const struct local_options *options)
{
    *local = (struct local){.options = *options, .workers = workers};
    struct listener_options listen;
    listener_options_init(&listen);
    listen.addr = *addr;
    client_options_init(&local->client);
    TRY(listener_group_open(&local->group, workers->options.ops, NULL, &listen));
    must(workers->local_count < WORKERS_LOCALS_MAX);
    workers->locals[workers->local_count++] = local;
    return WEIR_OK;
}

void local_close(struct local *local)
{
    listener_group_close(&local->group, local->workers->options.ops, NULL);
}

enum weir_err local_start(struct local *local, struct worker *worker)
{
    struct downstream_options options = {
        .loop = &worker->loop.loop,
        .streams = &worker->loop.streams,
        .client = &local->client,
        .handler = local->options.handler,
        .owner = local->options.owner,
    };
    must(worker->number == 0);
    downstream_init(&local->downstream, &options);
    local->group.workers[0] = &local->downstream;
    local->group.worker_count = 1;
    local->started = true;
    return listener_start(&local->listener, &local->group, &local->downstream);
}

void local_drain(struct local *local)
{
    if (!local->started)
        return;
    listener_stop(&local->listener);
    downstream_drain(&local->downstream);
    downstream_cancel(&local->downstream);
}

bool local_is_idle(const struct local *local)
{
    if (local->options.is_idle && !local->options.is_idle(local->options.owner))
        return false;
    return !local->started || downstream_is_empty(&local->downstream);
}

void local_stop(struct local *local)
{
    if (local->started)
        downstream_fini(&local->downstream);
    local->started = false;
}
