/* SPDX-License-Identifier: MIT */
#include "tests/unit/server/crew.h"

#include <stdlib.h>
#include <unistd.h>

TEST(they_start_drain_and_end_by_hand)
{
    crew_prepare();
    crew_open();
    crew_listen();
    CHECK_EQ(CREW, crew.count);
    CHECK_OK(workers_start(&crew));
    CHECK_EQ(CREW, crew.thread_count);
    CHECK_EQ(CREW, atomic_load(&crew.running));
    workers_drain(&crew);
    workers_drain(&crew);
    CHECK(atomic_load(&crew.draining));
    crew_await_running(0);
    workers_end(&crew);
    workers_join(&crew);
    workers_close(&crew);
}

TEST(there_is_one_for_each_cpu_and_no_more_than_listeners_know)
{
    crew_prepare();
    crew_options.count = 0;
    crew_open();
    CHECK(crew.count >= 1 && crew.count <= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
    workers_close(&crew);
    crew_options.count = 100000;
    crew_open();
    CHECK_EQ(LISTENER_WORKERS_MAX, crew.count);
    workers_close(&crew);
}

TEST(an_address_tells_its_service_and_where_it_is)
{
    struct workers_address *address = NULL;
    unsigned number = 0;
    crew_prepare();
    crew_open();
    CHECK_OK(workers_add(&crew, &crew_service, &number));
    CHECK_EQ(1, number);
    struct listener_options options;
    listener_options_init(&options);
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &options.addr));
    CHECK_OK(workers_listen(&crew, 1, &options, &address));
    CHECK_EQ(1, address->service);
    CHECK_EQ(CREW, address->group.worker_count);
    CHECK(slice_starts(slice_str(address->text), SLICE("127.0.0.1:")));
    CHECK(addr_port(&address->group.options.addr) != 0);
    options.addr = address->group.options.addr;
    CHECK_ERR(WEIR_E_ADDRESS_IN_USE, workers_listen(&crew, 0, &options, &address));
    CHECK_EQ(1, crew.address_count);
    workers_close(&crew);
}

/* --- One that cannot start ------------------------------------------------------------------- */

static unsigned failing; /* whose loop cannot be had; CREW: nobody's, CREW + 1: all */

static enum weir_err open_or_fail(struct loop *loop, const struct io_sizes *sizes,
                                  struct backend **ret_backend)
{
    if (loop->worker == failing || failing > CREW)
        return WEIR_E_NO_DESCRIPTORS;
    return epoll_ops.open(loop, sizes, ret_backend);
}

TEST(where_one_cannot_start_all_end_and_nothing_is_left)
{
    struct backend_ops ops = epoll_ops;
    ops.open = open_or_fail;
    for (failing = 0; failing < CREW + 2; failing++) {
        if (failing == CREW)
            continue;
        crew_prepare();
        crew_options.ops = &ops;
        crew_open();
        crew_listen();
        CHECK_ERR(WEIR_E_NO_DESCRIPTORS, workers_start(&crew));
        CHECK_EQ(0, atomic_load(&crew.running));
        workers_close(&crew);
    }
}

/* --- Being asked to stop --------------------------------------------------------------------- */

TEST(who_asked_to_stop_at_once_is_not_talked_out_of_it)
{
    crew_prepare();
    crew_open();
    CHECK_EQ(STOP_NOT, atomic_load(&crew.wish));
    workers_ask_stop(&crew, true);
    CHECK_EQ(STOP_GRACEFULLY, atomic_load(&crew.wish));
    workers_ask_stop(&crew, false);
    CHECK_EQ(STOP_AT_ONCE, atomic_load(&crew.wish));
    workers_ask_stop(&crew, true);
    CHECK_EQ(STOP_AT_ONCE, atomic_load(&crew.wish));
    workers_close(&crew);
}

TEST(without_an_address_the_last_that_was_started_asks_to_stop)
{
    crew_prepare();
    crew_open();
    atomic_store(&crew.started, 2);
    workers_count_started(&crew, -1);
    CHECK_EQ(STOP_NOT, atomic_load(&crew.wish));
    workers_count_started(&crew, -1);
    CHECK_EQ(STOP_GRACEFULLY, atomic_load(&crew.wish));
    workers_close(&crew);
    crew_open();
    crew_listen();
    atomic_store(&crew.started, 1);
    workers_count_started(&crew, -1);
    CHECK_EQ(STOP_NOT, atomic_load(&crew.wish));
    workers_close(&crew);
}

CHECK_MAIN
