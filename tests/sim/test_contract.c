/* SPDX-License-Identifier: MIT */
/* What every backend must do: the kernel's sockets and the simulated ones, side by side. */
#include "tests/sim/contract_bytes.h"
#include "tests/sim/contract_now.h"
#include "tests/sim/contract_watch.h"
#include "tests/sim/sim.h"
#include "tests/unit/io/kernels.h"

#include <unistd.h>

/* More than the kernel ever keeps between two sockets of this machine. */
enum { FLOOD_BYTES = 24 << 20, SIM_FLOOD_BYTES = 1 << 20 };

#define SCENARIO(fn)                                                                               \
    {                                                                                              \
#fn, fn                                                                                    \
    }
static const struct {
    const char *name;
    WEIR_SUSPENDS void (*run)(struct contract *self);
} scenarios[] = {
    SCENARIO(echoes_a_long_text),
    SCENARIO(answers_after_a_half_close),
    SCENARIO(tells_a_reset_from_an_end),
    SCENARIO(refuses_where_nobody_listens),
    SCENARIO(a_receive_ends_at_its_deadline),
    SCENARIO(a_canceled_receive_loses_nothing),
    SCENARIO(a_send_waits_until_its_deadline),
    SCENARIO(a_canceled_send_says_what_went_out),
    SCENARIO(a_blocked_send_ends_with_the_connection),
    SCENARIO(a_watch_is_called_for_bytes_and_end),
    SCENARIO(a_watch_is_called_for_a_reset),
    SCENARIO(a_watch_rests_while_someone_receives),
    SCENARIO(asking_finds_what_was_not_announced),
    SCENARIO(a_watch_may_close_any_stream),
    SCENARIO(knows_the_other_address),
    SCENARIO(sending_to_one_that_closed_ends_in_a_reset),
    SCENARIO(serves_many_at_once),
    SCENARIO(a_few_words_go_at_once),
    SCENARIO(what_goes_at_once_is_told),
    SCENARIO(nothing_goes_at_once_while_somebody_sends),
    SCENARIO(nothing_goes_at_once_to_one_that_is_gone),
};

/* All scenarios, one after another, over the loop at the address. */
static void contract_run(struct contract contract)
{
    for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
        contract.name = scenarios[i].name;
        contract.run = scenarios[i].run;
        contract_run_one(&contract);
    }
}

static void over_kernel(const struct backend_ops *ops, const char *addr)
{
    struct loop loop;
    unsigned descriptors = count_descriptors();
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
    contract_run((struct contract){.loop = &loop,
                                   .addr = addr,
                                   .flood_bytes = FLOOD_BYTES,
                                   .has_resets = !slice_starts(slice_str(addr), SLICE("unix:"))});
    loop_fini(&loop);
    CHECK_EQ(descriptors, count_descriptors());
}

static void over_tcp_ipv4(const struct backend_ops *ops)
{
    over_kernel(ops, "127.0.0.1:0");
}

static void over_tcp_ipv6(const struct backend_ops *ops)
{
    over_kernel(ops, "[::1]:0");
}

static void over_unix(const struct backend_ops *ops)
{
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/weir-test-%d.sock", getpid());
    over_kernel(ops, path);
    unlink(path + strlen("unix:"));
}

TEST_EACH_KERNEL(tcp_ipv4, over_tcp_ipv4)
TEST_EACH_KERNEL(tcp_ipv6, over_tcp_ipv6)
TEST_EACH_KERNEL(unix_path, over_unix)

static void over_sim(uint64_t seed, const char *addr)
{
    struct sim_world world;
    struct loop loop;
    sim_world_init(&world, seed);
    CHECK_OK(sim_loop_init(&world, &loop, 0));
    contract_run((struct contract){
        .loop = &loop, .addr = addr, .flood_bytes = SIM_FLOOD_BYTES, .has_resets = true});
    CHECK(!world.stuck);
    CHECK_EQ(0, world.open_count);
    sim_loop_fini(&loop);
    sim_world_fini(&world);
}

TEST(sim)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        over_sim(seed, "10.0.0.1:80");
        over_sim(seed, "[fd00::1]:0");
        over_sim(seed, "unix:/nowhere");
    }
}

CHECK_MAIN
