/* SPDX-License-Identifier: MIT */
#include "io/name.h"

#include "tests/unit/io/dnsmasq.h"

TEST(answers_are_kept_for_a_while)
{
    static const struct {
        int64_t ttl_ms, kept_ms;
    } rows[] = {{0, 1000},        {400, 1000},        {1000, 1000},       {7000, 7000},
                {300000, 300000}, {3600000, 3600000}, {86400000, 3600000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_EQ(rows[i].kept_ms, weir_span_to_ms(name_kept(weir_span_ms(rows[i].ttl_ms))));
    CHECK_EQ(60000, weir_span_to_ms(name_kept(WEIR_FOREVER)));
}

TEST(each_failure_rests_longer)
{
    static const int64_t rests_s[] = {1, 2, 4, 8, 16, 30, 30};
    struct weir_span rest = weir_span_ns(0);
    for (size_t i = 0; i < sizeof rests_s / sizeof *rests_s; i++) {
        rest = name_rest(rest);
        CHECK_EQ(weir_span_s(rests_s[i]).ns, rest.ns);
    }
}

/* A name and what was told of it. */
struct kept {
    struct name name;
    struct drive *drive;
    struct resolver *resolver;
    unsigned changes, failures;
    enum weir_err err;
    bool happened, stop;
};

static void wake(struct kept *kept)
{
    CHECK(loop_here() == &kept->drive->loop);
    kept->happened = true;
    if (kept->stop)
        name_stop(&kept->name);
    co_wake(kept->drive->waiting);
}

static void note_change(struct name *name, const struct addr *addrs, unsigned count)
{
    struct kept *kept = container_of(name, struct kept, name);
    CHECK(addrs == name->addrs && count == name->count && count > 0);
    kept->changes++;
    wake(kept);
}

static void note_failure(struct name *name, enum weir_err err)
{
    struct kept *kept = container_of(name, struct kept, name);
    kept->failures++;
    kept->err = err;
    wake(kept);
}

static void keep(struct kept *kept, struct drive *drive, const struct addr *server,
                 const char *host)
{
    struct resolver_options options = {
        .servers = server, .server_count = 1, .timeout = weir_span_ms(200), .tries = 1};
    kept->drive = drive;
    CHECK_OK(resolver_open(&drive->loop, &options, &kept->resolver));
    name_start(&kept->name, &drive->loop, kept->resolver, host, 80, note_change, note_failure);
}

static void end(struct kept *kept)
{
    name_stop(&kept->name);
    name_stop(&kept->name);
    resolver_close(&kept->resolver);
}

static bool is_now(const struct kept *kept, const char *first, const char *second)
{
    struct addr a, b;
    CHECK_OK(addr_parse(slice_of(first, strlen(first)), &a));
    CHECK_OK(addr_parse(slice_of(second, strlen(second)), &b));
    const struct addr *addrs = kept->name.addrs;
    unsigned differing = addr_equal(&a, &b) ? 1 : 2;
    return kept->name.count == differing &&
           (addr_equal(&addrs[0], &a) || addr_equal(&addrs[0], &b)) &&
           (addr_equal(&addrs[differing - 1], &a) || addr_equal(&addrs[differing - 1], &b));
}

WEIR_SUSPENDS static bool expect_told(struct kept *kept)
{
    bool told = CHECK(expect_soon(kept->drive, &kept->happened));
    kept->happened = false;
    return told;
}

/* Turns until it rests so long after a failure. */
WEIR_SUSPENDS static bool expect_rest(struct kept *kept, int64_t rest_s)
{
    struct weir_time deadline = within_s(kept->drive, 8);
    while (kept->name.rest.ns != weir_span_s(rest_s).ns &&
           weir_time_before(loop_now(&kept->drive->loop), deadline))
        CHECK_OK(co_sleep(weir_span_ms(10)));
    return CHECK_EQ(weir_span_s(rest_s).ns, kept->name.rest.ns);
}

static void hear_of_changes(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 1};
    struct kept kept = {};
    if (!dnsmasq_start(&server, "10.0.0.1 a.test\n10.0.0.2 a.test\n"))
        return;
    keep(&kept, drive, &server.addr, "a.test");
    CHECK_EQ(0, kept.changes);
    expect_told(&kept);
    CHECK(is_now(&kept, "10.0.0.1:80", "10.0.0.2:80"));
    struct weir_time begun = loop_now(&drive->loop);
    dnsmasq_change(&server, "10.0.0.3 a.test\n10.0.0.2 a.test\n");
    expect_told(&kept);
    CHECK(is_now(&kept, "10.0.0.2:80", "10.0.0.3:80"));
    CHECK(weir_time_between(begun, loop_now(&drive->loop)).ns >= weir_span_ms(990).ns);
    CHECK_EQ(2, kept.changes);
    CHECK_EQ(0, kept.failures);
    end(&kept);
    dnsmasq_stop(&server);
}

DRIVE(a_change_is_told_when_its_time_comes, hear_of_changes)

static void lose_a_family(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 1};
    struct kept kept = {};
    if (!dnsmasq_start(&server, "10.0.0.1 a.test\nfd00::1 a.test\n"))
        return;
    keep(&kept, drive, &server.addr, "a.test");
    expect_told(&kept);
    CHECK_EQ(2, kept.name.count);
    struct weir_time begun = loop_now(&drive->loop);
    dnsmasq_change(&server, "10.0.0.1 a.test\n");
    expect_told(&kept);
    CHECK(is_now(&kept, "10.0.0.1:80", "10.0.0.1:80"));
    CHECK(weir_time_between(begun, loop_now(&drive->loop)).ns >= weir_span_ms(1950).ns);
    CHECK_EQ(2, kept.changes);
    end(&kept);
    dnsmasq_stop(&server);
}

DRIVE(a_family_that_is_gone_is_believed_the_second_time, lose_a_family)

/* An answer comes in another order each time: dnsmasq turns the list round. */
static void hear_nothing_new(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 1};
    struct kept kept = {};
    if (!dnsmasq_start(&server, "10.0.0.1 a.test\n10.0.0.2 a.test\n10.0.0.3 b.test\n"))
        return;
    keep(&kept, drive, &server.addr, "a.test");
    expect_told(&kept);
    dnsmasq_change(&server, "10.0.0.2 a.test\n10.0.0.1 a.test\n");
    CHECK_OK(co_sleep(weir_span_ms(2200)));
    CHECK_EQ(1, kept.changes);
    CHECK_EQ(0, kept.failures);
    end(&kept);
    dnsmasq_stop(&server);
}

DRIVE(another_order_is_no_change, hear_nothing_new)

static void lose_the_server(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 1};
    struct kept kept = {};
    if (!dnsmasq_start(&server, "10.0.0.1 a.test\n"))
        return;
    keep(&kept, drive, &server.addr, "a.test");
    expect_told(&kept);
    dnsmasq_stop(&server);
    expect_rest(&kept, 2);
    CHECK(is_now(&kept, "10.0.0.1:80", "10.0.0.1:80"));
    CHECK_EQ(1, kept.changes);
    CHECK_EQ(1, kept.failures);
    kept.happened = false;
    if (dnsmasq_start(&server, "10.0.0.4 a.test\n"))
        expect_told(&kept);
    CHECK(is_now(&kept, "10.0.0.4:80", "10.0.0.4:80"));
    CHECK_EQ(0, kept.name.rest.ns);
    CHECK_EQ(2, kept.changes);
    end(&kept);
    dnsmasq_stop(&server);
}

DRIVE(a_failure_keeps_the_last_answer, lose_the_server)

static void miss_the_name(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 1};
    struct kept kept = {};
    if (!dnsmasq_start(&server, "10.0.0.1 b.test\n"))
        return;
    keep(&kept, drive, &server.addr, "a.test");
    expect_told(&kept);
    CHECK_ERR(WEIR_E_DNS_ERROR, kept.err);
    CHECK_EQ(1, kept.failures);
    CHECK_EQ(0, kept.name.count);
    expect_rest(&kept, 2);
    CHECK_EQ(1, kept.failures);
    dnsmasq_change(&server, "10.0.0.1 a.test\n");
    expect_told(&kept);
    CHECK(is_now(&kept, "10.0.0.1:80", "10.0.0.1:80"));
    CHECK_EQ(1, kept.changes);
    CHECK_EQ(1, kept.failures);
    end(&kept);
    dnsmasq_stop(&server);
}

DRIVE(a_first_failure_is_told_once, miss_the_name)

static void stop_when_told(struct drive *drive)
{
    struct addr addr;
    struct kept kept = {.stop = true};
    int silent = open_silent(&addr);
    keep(&kept, drive, &addr, "192.0.2.1");
    expect_told(&kept);
    CHECK(is_now(&kept, "192.0.2.1:80", "192.0.2.1:80"));
    CHECK(!kept.name.resolver && !timer_is_armed(&kept.name.again));
    resolver_close(&kept.resolver);
    keep(&kept, drive, &addr, "a.test.");
    expect_told(&kept);
    CHECK_ERR(WEIR_E_DNS_TIMEOUT, kept.err);
    CHECK(!kept.name.resolver && !timer_is_armed(&kept.name.again));
    resolver_close(&kept.resolver);
    keep(&kept, drive, &addr, "a.test.");
    let_turn(drive, 3);
    end(&kept); /* while it is asked */
    CHECK_EQ(1, kept.failures);
    close(silent);
}

DRIVE(it_may_be_stopped_at_any_time, stop_when_told)

CHECK_MAIN
