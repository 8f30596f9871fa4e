/* SPDX-License-Identifier: MIT */
/* Connections move between loops: of every backend, between backends, and between threads. */
#include "tests/sim/move_bytes.h"
#include "tests/sim/move_ends.h"
#include "tests/sim/sim.h"
#include "tests/unit/io/kernels.h"

#include <pthread.h>

/* More than the kernel ever keeps between two sockets of this machine. */
enum { FLOOD_BYTES = 16 << 20, SIM_FLOOD_BYTES = 1 << 20 };

#define SCENARIO(fn)                                                                               \
    {                                                                                              \
#fn, fn                                                                                    \
    }
static const struct {
    const char *name;
    WEIR_SUSPENDS void (*run)(struct travels *self);
} scenarios[] = {
    SCENARIO(an_idle_connection_moves_and_goes_on),
    SCENARIO(unread_bytes_come_first),
    SCENARIO(a_look_right_after_the_move_is_sure),
    SCENARIO(a_stream_stays_whole_while_it_is_moved),
    SCENARIO(a_flooded_connection_moves),
    SCENARIO(a_send_goes_on_elsewhere),
    SCENARIO(many_move_at_once),
    SCENARIO(an_end_is_told_to_the_new_owner),
    SCENARIO(a_reset_is_told_to_the_new_owner),
    SCENARIO(a_watch_works_at_the_new_owner),
    SCENARIO(a_watch_ends_with_the_detach),
    SCENARIO(a_detach_cannot_be_canceled),
    SCENARIO(a_drop_closes_it),
};

/* How the two loops are turned until self->done. */
typedef void turn_fn(struct travels *self);

/* All scenarios, one after another; everything that one used must be gone after it. */
static void run_all(struct travels travels, turn_fn *turn)
{
    for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
        struct travels self = travels;
        unsigned failures = check_failures, descriptors = count_descriptors();
        self.name = scenarios[i].name;
        self.run = scenarios[i].run;
        atomic_store(&self.home->stopping, false);
        CHECK_OK(co_spawn(&self.home->sched, NULL, "test", travels_main, &self, NULL));
        turn(&self);
        CHECK(self.done);
        CHECK_EQ(0, stat_read(&self.home->bufs.used_count));
        CHECK_EQ(0, stat_read(&self.away->bufs.used_count));
        CHECK_EQ(0, self.home->sched.co_count);
        CHECK_EQ(descriptors, count_descriptors());
        if (check_failures != failures)
            printf("# so much for %s at %s (%s and %s)\n", self.name, self.addr,
                   self.home->ops->name, self.away->ops->name);
    }
}

static struct travels over_kernel(struct loop *home, struct loop *away, const char *addr)
{
    return (struct travels){.home = home,
                            .away = away,
                            .addr = addr,
                            .flood_bytes = FLOOD_BYTES,
                            .has_resets = !slice_starts(slice_str(addr), SLICE("unix:")),
                            .in_kernel = true};
}

/* The kernel gives back a part at a time of what it held of the sockets that were closed last. */
enum { SETTLING_TURNS = 64 };

/* --- Two loops of one thread ----------------------------------------------------------------- */

static void turn_one(struct loop *loop, struct weir_span wait)
{
    sched_enter(&loop->sched);
    loop_turn(loop, weir_time_after(loop_now(loop), wait));
}

static void turn_by_turns(struct travels *self)
{
    while (!self->done) {
        turn_one(self->home, weir_span_ms(1));
        turn_one(self->away, weir_span_ms(1));
    }
    for (int i = 0; i < SETTLING_TURNS; i++) {
        turn_one(self->home, weir_span_ns(0));
        turn_one(self->away, weir_span_ns(0));
    }
    sched_enter(&self->home->sched);
}

static void by_turns(const struct backend_ops *home_ops, const struct backend_ops *away_ops,
                     const char *addr)
{
    struct loop home, away;
    CHECK_OK(loop_init(&home, &(struct loop_options){.ops = home_ops}));
    sched_enter(NULL);
    CHECK_OK(loop_init(&away, &(struct loop_options){.ops = away_ops, .worker = 1}));
    sched_enter(&home.sched);
    run_all(over_kernel(&home, &away, addr), turn_by_turns);
    loop_fini(&home);
    sched_enter(&away.sched);
    loop_fini(&away);
}

static void by_turns_over_tcp(const struct backend_ops *ops)
{
    by_turns(ops, ops, "127.0.0.1:0");
}

static void by_turns_over_unix(const struct backend_ops *ops)
{
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/weir-test-%d.sock", getpid());
    by_turns(ops, ops, path);
    unlink(path + strlen("unix:"));
}

TEST_EACH_KERNEL(by_turns_tcp, by_turns_over_tcp)
TEST_EACH_KERNEL(by_turns_unix, by_turns_over_unix)

TEST(by_turns_from_epoll_to_uring)
{
    if (kernel_offers(&uring_ops))
        by_turns(&epoll_ops, &uring_ops, "127.0.0.1:0");
}

TEST(by_turns_from_uring_to_epoll)
{
    if (kernel_offers(&uring_ops))
        by_turns(&uring_ops, &epoll_ops, "127.0.0.1:0");
}

/* --- Two threads ----------------------------------------------------------------------------- */

struct other_thread {
    const struct backend_ops *ops;
    struct loop loop;
    pthread_barrier_t is_open, is_over;
};

static void *run_away(void *argument)
{
    struct other_thread *self = argument;
    must(loop_init(&self->loop, &(struct loop_options){.ops = self->ops, .worker = 1}) == WEIR_OK);
    pthread_barrier_wait(&self->is_open);
    loop_run(&self->loop);
    pthread_barrier_wait(&self->is_over); /* so that nobody stops a loop that is gone */
    loop_fini(&self->loop);
    return NULL;
}

static void turn_home(struct travels *self)
{
    loop_run(self->home);
    for (int i = 0; i < SETTLING_TURNS; i++)
        loop_turn(self->home, loop_now(self->home));
}

static void two_threads(const struct backend_ops *home_ops, const struct backend_ops *away_ops)
{
    struct loop home;
    struct other_thread away = {.ops = away_ops};
    pthread_t thread;
    CHECK_OK(loop_init(&home, &(struct loop_options){.ops = home_ops}));
    pthread_barrier_init(&away.is_open, NULL, 2);
    pthread_barrier_init(&away.is_over, NULL, 2);
    CHECK_EQ(0, pthread_create(&thread, NULL, run_away, &away));
    pthread_barrier_wait(&away.is_open);
    run_all(over_kernel(&home, &away.loop, "127.0.0.1:0"), turn_home);
    loop_stop(&away.loop);
    pthread_barrier_wait(&away.is_over);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&away.is_open);
    pthread_barrier_destroy(&away.is_over);
    loop_fini(&home);
}

static void two_alike(const struct backend_ops *ops)
{
    two_threads(ops, ops);
}

TEST_EACH_KERNEL(two_threads, two_alike)

TEST(two_threads_from_epoll_to_uring)
{
    if (kernel_offers(&uring_ops))
        two_threads(&epoll_ops, &uring_ops);
}

TEST(two_threads_from_uring_to_epoll)
{
    if (kernel_offers(&uring_ops))
        two_threads(&uring_ops, &epoll_ops);
}

/* --- Two loops of a simulated world ---------------------------------------------------------- */

static struct sim_world world;

static void turn_world(struct travels *self)
{
    sim_enter(self->home);
    while (!self->done && !world.stuck)
        sim_run(&world, weir_time_after(world.now, weir_span_ms(1)));
    CHECK(!world.stuck);
    CHECK_EQ(0, world.open_count);
    sim_enter(self->home);
}

static void over_sim(uint64_t seed, bool cut, const char *addr)
{
    struct loop home, away;
    sim_world_init(&world, seed);
    world.faults.split = world.faults.short_send = cut ? 200 : 0;
    world.faults.short_recv = world.faults.late_announce = cut ? 200 : 0;
    world.faults.late_detach = cut ? 500 : 0;
    CHECK_OK(sim_loop_init(&world, &home, 0));
    CHECK_OK(sim_loop_init(&world, &away, 1));
    sim_enter(&home);
    run_all((struct travels){.home = &home,
                             .away = &away,
                             .addr = addr,
                             .flood_bytes = SIM_FLOOD_BYTES,
                             .has_resets = true},
            turn_world);
    sim_loop_fini(&home);
    sim_loop_fini(&away);
    sim_world_fini(&world);
}

TEST(sim)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        over_sim(seed, false, "10.0.0.1:80");
        over_sim(seed, true, "unix:/nowhere");
    }
}

CHECK_MAIN
