/* SPDX-License-Identifier: MIT */
#include "server/workers.h"

#include "base/check.h"
#include "server/local.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- Setting up ------------------------------------------------------------------------------ */

static unsigned count_cpus(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 1;
    int count = CPU_COUNT(&cpus);
    return count < 1 ? 1 : (unsigned)count;
}

static unsigned choose_count(unsigned wanted)
{
    unsigned count = wanted ? wanted : count_cpus();
    return count > LISTENER_WORKERS_MAX ? LISTENER_WORKERS_MAX : count;
}

enum weir_err workers_init(struct workers *workers, const struct workers_options *options)
{
    *workers = (struct workers){.options = *options, .count = choose_count(options->count)};
    pthread_mutex_init(&workers->starting, NULL);
    workers->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (workers->wake < 0)
        return WEIR_E_NO_DESCRIPTORS;
    workers->all = calloc(workers->count, sizeof *workers->all);
    return workers->all ? WEIR_OK : WEIR_E_NO_MEMORY;
}

enum weir_err workers_add(struct workers *workers, const struct service_options *options,
                          unsigned *ret_number)
{
    unsigned number = workers->service_count;
    struct workers_service *services =
        reallocarray(workers->services, number + 1, sizeof *workers->services);
    if (!services)
        return WEIR_E_NO_MEMORY;
    workers->services = services;
    struct commons *commons = commons_new(workers->count, options->upstream_keepalive_pool_size);
    if (!commons)
        return WEIR_E_NO_MEMORY;
    services[number] = (struct workers_service){.options = options, .commons = commons};
    workers->service_count++;
    *ret_number = number;
    return WEIR_OK;
}

static enum weir_err open_address(struct workers *workers, const struct listener_options *options,
                                  struct workers_address **ret_address)
{
    struct workers_address *address = calloc(1, sizeof *address);
    if (!address)
        return WEIR_E_NO_MEMORY;
    enum weir_err err = listener_group_open(&address->group, workers->options.ops, NULL, options);
    if (err)
        free(address);
    else
        *ret_address = address;
    return err;
}

enum weir_err workers_listen(struct workers *workers, unsigned service,
                             const struct listener_options *options,
                             struct workers_address **ret_address)
{
    struct workers_address **addresses =
        reallocarray(workers->addresses, workers->address_count + 1, sizeof *workers->addresses);
    if (!addresses)
        return WEIR_E_NO_MEMORY;
    workers->addresses = addresses;
    struct workers_address *address = NULL;
    TRY(open_address(workers, options, &address));
    address->service = service;
    address->group.worker_count = workers->count;
    addr_print(&address->group.options.addr, address->text);
    addresses[workers->address_count++] = address;
    *ret_address = address;
    return WEIR_OK;
}

/* --- Starting -------------------------------------------------------------------------------- */

/* Fewer where no more can be had; those which there are wait to be told. */
static enum weir_err create_threads(struct workers *workers)
{
    for (unsigned i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->all[i];
        worker->workers = workers;
        worker->number = i;
        if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0)
            return WEIR_E_NO_MEMORY;
        workers->thread_count++;
    }
    return WEIR_OK;
}

void workers_await_start(struct workers *workers)
{
    pthread_mutex_lock(&workers->starting);
    pthread_mutex_unlock(&workers->starting);
}

static enum weir_err first_start_error(const struct workers *workers)
{
    for (unsigned i = 0; i < workers->thread_count; i++)
        if (workers->all[i].start_err)
            return workers->all[i].start_err;
    return WEIR_OK;
}

/* All calls of `started`, before any of them can return. */
static void expect_started(struct workers *workers)
{
    unsigned count = 0;
    for (unsigned i = 0; i < workers->service_count; i++)
        if (workers->services[i].options->started)
            count += workers->count;
    atomic_store(&workers->started, count);
    if (count == 0 && workers->address_count == 0)
        workers_ask_stop(workers, true);
}

/* Those which did start have nothing under way that would need to be waited for. */
static void give_up(struct workers *workers)
{
    workers_drain(workers);
    workers_stop(workers);
    while (atomic_load(&workers->running) > 0)
        sched_yield();
    workers_end(workers);
    workers_join(workers);
}

enum weir_err workers_start(struct workers *workers)
{
    pthread_mutex_lock(&workers->starting);
    enum weir_err err = create_threads(workers);
    pthread_barrier_init(&workers->barrier, NULL, workers->thread_count + 1);
    atomic_store(&workers->running, workers->thread_count);
    pthread_mutex_unlock(&workers->starting);
    pthread_barrier_wait(&workers->barrier);
    if (!err)
        err = first_start_error(workers);
    workers->failed = err != WEIR_OK;
    if (!err)
        expect_started(workers);
    pthread_barrier_wait(&workers->barrier);
    pthread_barrier_wait(&workers->barrier);
    if (err)
        give_up(workers);
    return err;
}

/* --- Stopping -------------------------------------------------------------------------------- */

static void wake_owner(struct workers *workers)
{
    static const uint64_t one = 1;
    /* It can fail only when very many are there to be read already. */
    ssize_t written = write(workers->wake, &one, sizeof one);
    (void)written;
}

void workers_ask_stop(struct workers *workers, bool gracefully)
{
    enum stop wish = gracefully ? STOP_GRACEFULLY : STOP_AT_ONCE;
    enum stop before = atomic_load(&workers->wish);
    while (before < wish && !atomic_compare_exchange_weak(&workers->wish, &before, wish))
        ;
    wake_owner(workers);
}

void workers_count_running(struct workers *workers, int change)
{
    if (atomic_fetch_add(&workers->running, (unsigned)change) + (unsigned)change == 0)
        wake_owner(workers);
}

void workers_count_started(struct workers *workers, int change)
{
    unsigned left = atomic_fetch_add(&workers->started, (unsigned)change) + (unsigned)change;
    if (left == 0 && workers->address_count == 0)
        workers_ask_stop(workers, true);
}

void workers_drain(struct workers *workers)
{
    if (atomic_exchange(&workers->draining, true))
        return;
    for (unsigned i = 0; i < workers->thread_count; i++)
        worker_post_drain(&workers->all[i]);
}

void workers_stop(struct workers *workers)
{
    for (unsigned i = 0; i < workers->thread_count; i++)
        worker_post_stop(&workers->all[i]);
}

void workers_end(struct workers *workers)
{
    /* Worker 0 tells the others, when nothing of its own asks them any more. */
    bool leads = workers->thread_count > 0 && workers->all[0].has_loop;
    for (unsigned i = 0; i < (leads ? 1 : workers->thread_count); i++)
        worker_post_end(&workers->all[i]);
    pthread_barrier_wait(&workers->barrier);
}

void workers_join(struct workers *workers)
{
    for (unsigned i = 0; i < workers->thread_count; i++)
        pthread_join(workers->all[i].thread, NULL);
    pthread_barrier_destroy(&workers->barrier);
}

void workers_close(struct workers *workers)
{
    must(atomic_load(&workers->running) == 0);
    for (unsigned i = 0; i < workers->address_count; i++) {
        listener_group_close(&workers->addresses[i]->group, workers->options.ops, NULL);
        free(workers->addresses[i]);
    }
    for (unsigned i = 0; i < workers->service_count; i++)
        commons_free(&workers->services[i].commons);
    if (workers->wake >= 0)
        close(workers->wake);
    pthread_mutex_destroy(&workers->starting);
    free(workers->addresses);
    free(workers->services);
    free(workers->all);
}
