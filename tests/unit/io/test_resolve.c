/* SPDX-License-Identifier: MIT */
#include "io/resolve.h"

#include "tests/unit/io/dnsmasq.h"

#include <pthread.h>

/* One question and what was said to it. */
struct asked {
    struct resolve resolve;
    struct drive *drive;
    enum weir_err err;
    unsigned calls, count, again; /* asked so often again, from the answer */
    struct weir_span ttl;
    bool happened;
    struct addr addrs[RESOLVE_ADDRS_MAX];
};

static void note(struct resolve *resolve, enum weir_err err, const struct addr *addrs,
                 unsigned count, struct weir_span ttl)
{
    struct asked *asked = container_of(resolve, struct asked, resolve);
    CHECK(loop_here() == &asked->drive->loop && !resolve_is_asked(resolve));
    CHECK_EQ(err == WEIR_OK, count > 0);
    CHECK(count <= RESOLVE_ADDRS_MAX);
    asked->calls++;
    asked->err = err;
    asked->count = count;
    asked->ttl = ttl;
    asked->happened = true;
    memcpy(asked->addrs, addrs, count * sizeof *addrs);
    co_wake(asked->drive->waiting);
}

static void start(struct asked *asked, struct drive *drive, struct resolver *resolver,
                  const char *name)
{
    unsigned calls = asked->calls;
    asked->drive = drive;
    asked->happened = false;
    resolve_start(resolver, &asked->resolve, name, 8080, note);
    CHECK_EQ(calls, asked->calls); /* nothing answers at once */
}

WEIR_SUSPENDS static enum weir_err ask(struct asked *asked, struct drive *drive,
                                       struct resolver *resolver, const char *name)
{
    start(asked, drive, resolver, name);
    if (!CHECK(expect_soon(drive, &asked->happened)))
        resolve_cancel(&asked->resolve);
    return asked->err;
}

static bool has(const struct asked *asked, const char *text)
{
    struct addr addr;
    CHECK_OK(addr_parse(slice_of(text, strlen(text)), &addr));
    for (unsigned i = 0; i < asked->count; i++)
        if (addr_equal(&addr, &asked->addrs[i]))
            return true;
    return false;
}

static struct resolver *open_at(struct drive *drive, const struct addr *servers, unsigned count)
{
    struct resolver *resolver = NULL;
    struct resolver_options options = {
        .servers = servers, .server_count = count, .timeout = weir_span_ms(1000), .tries = 2};
    CHECK_OK(resolver_open(&drive->loop, &options, &resolver));
    return resolver;
}

/* The same with little patience. */
static struct resolver *open_hasty(struct drive *drive, const struct addr *servers, unsigned count)
{
    struct resolver *resolver = NULL;
    struct resolver_options options = {
        .servers = servers, .server_count = count, .timeout = weir_span_ms(50), .tries = 2};
    CHECK_OK(resolver_open(&drive->loop, &options, &resolver));
    return resolver;
}

static const char some_hosts[] = "10.0.0.1 one.test\n"
                                 "10.0.0.2 two.test\n"
                                 "fd00::2 two.test\n"
                                 "10.0.0.3 three.test\n"
                                 "10.0.0.4 three.test\n";

static void ask_dnsmasq(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 30, .alias = "alias.test,one.test,7"};
    struct asked asked = {};
    if (!dnsmasq_start(&server, some_hosts))
        return;
    struct resolver *resolver = open_at(drive, &server.addr, 1);
    CHECK_OK(ask(&asked, drive, resolver, "one.test"));
    CHECK_EQ(1, asked.count);
    CHECK(has(&asked, "10.0.0.1:8080"));
    CHECK_EQ(weir_span_s(30).ns, asked.ttl.ns);
    CHECK_OK(ask(&asked, drive, resolver, "two.test"));
    CHECK_EQ(2, asked.count);
    CHECK(has(&asked, "10.0.0.2:8080") && has(&asked, "[fd00::2]:8080"));
    CHECK_OK(ask(&asked, drive, resolver, "three.test"));
    CHECK_EQ(2, asked.count);
    CHECK(has(&asked, "10.0.0.3:8080") && has(&asked, "10.0.0.4:8080"));
    CHECK_OK(ask(&asked, drive, resolver, "alias.test"));
    CHECK(asked.count == 1 && has(&asked, "10.0.0.1:8080"));
    CHECK_EQ(weir_span_s(7).ns, asked.ttl.ns);
    CHECK_ERR(WEIR_E_DNS_ERROR, ask(&asked, drive, resolver, "none.test"));
    CHECK_ERR(WEIR_E_DNS_ERROR, ask(&asked, drive, resolver, ".."));
    CHECK_EQ(6, asked.calls);
    resolver_close(&resolver);
    dnsmasq_stop(&server);
}

DRIVE_EACH(a_server_is_asked, ask_dnsmasq)

/* Of more addresses than a datagram takes c-ares hears by TCP. */
static void ask_for_many(struct drive *drive)
{
    enum { MANY = RESOLVE_ADDRS_MAX + 6 };
    char hosts[MANY * 24] = "";
    struct dnsmasq server = {.ttl_s = 0};
    struct asked asked = {};
    for (unsigned i = 0, len = 0; i < MANY; i++)
        len += (unsigned)snprintf(hosts + len, sizeof hosts - len, "10.0.1.%u many.test\n", i + 1);
    if (!dnsmasq_start(&server, hosts))
        return;
    struct resolver *resolver = open_at(drive, &server.addr, 1);
    CHECK_OK(ask(&asked, drive, resolver, "many.test"));
    CHECK_EQ(RESOLVE_ADDRS_MAX, asked.count);
    CHECK_EQ(0, asked.ttl.ns);
    for (unsigned i = 0; i < asked.count; i++)
        for (unsigned j = 0; j < i; j++)
            CHECK(!addr_equal(&asked.addrs[i], &asked.addrs[j]));
    resolver_close(&resolver);
    dnsmasq_stop(&server);
}

DRIVE_EACH(many_addresses_come_by_tcp, ask_for_many)

static void ask_all_at_once(struct drive *drive)
{
    enum { CROWD = 100 };
    struct dnsmasq server = {.ttl_s = 1};
    char name[32];
    if (!dnsmasq_start(&server, some_hosts))
        return;
    struct asked *crowd = calloc(CROWD, sizeof *crowd);
    struct resolver *resolver = open_at(drive, &server.addr, 1);
    must(crowd);
    for (int i = 0; i < CROWD; i++) {
        snprintf(name, sizeof name, "%s.test", i % 2 ? "one" : "none");
        start(&crowd[i], drive, resolver, name);
        if (i % 5 == 0)
            resolve_cancel(&crowd[i].resolve);
    }
    for (int i = 0; i < CROWD; i++) {
        if (i % 5 == 0) {
            CHECK_EQ(0, crowd[i].calls);
            continue;
        }
        CHECK(expect_soon(drive, &crowd[i].happened));
        CHECK_EQ(1, crowd[i].calls);
        CHECK_ERR(i % 2 ? WEIR_OK : WEIR_E_DNS_ERROR, crowd[i].err);
    }
    resolver_close(&resolver);
    free(crowd);
    dnsmasq_stop(&server);
}

DRIVE_EACH(many_names_are_asked_at_once, ask_all_at_once)

static void hear_of_a_change(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 1};
    struct asked asked = {};
    if (!dnsmasq_start(&server, some_hosts))
        return;
    struct resolver *resolver = open_at(drive, &server.addr, 1);
    struct weir_time deadline = within_s(drive, 10);
    CHECK_OK(ask(&asked, drive, resolver, "one.test"));
    dnsmasq_change(&server, "10.0.0.9 one.test\n");
    while (!has(&asked, "10.0.0.9:8080") && weir_time_before(loop_now(&drive->loop), deadline))
        CHECK_OK(ask(&asked, drive, resolver, "one.test"));
    CHECK_EQ(1, asked.count);
    CHECK(has(&asked, "10.0.0.9:8080"));
    resolver_close(&resolver);
    dnsmasq_stop(&server);
}

DRIVE_EACH(nothing_is_remembered, hear_of_a_change)

static void ask_the_second(struct drive *drive)
{
    struct dnsmasq server = {.ttl_s = 1};
    struct asked asked = {};
    if (!dnsmasq_start(&server, some_hosts))
        return;
    struct addr servers[3] = {unused_addr(), {}, server.addr};
    int silent = open_silent(&servers[1]);
    struct resolver *resolver = open_at(drive, servers, 3);
    CHECK_OK(ask(&asked, drive, resolver, "one.test"));
    CHECK(has(&asked, "10.0.0.1:8080"));
    resolver_close(&resolver);
    close(silent);
    dnsmasq_stop(&server);
}

DRIVE_EACH(the_next_server_is_asked, ask_the_second)

static void ask_a_dead_server(struct drive *drive)
{
    struct addr nobody = unused_addr();
    struct asked asked = {};
    struct resolver *resolver = open_at(drive, &nobody, 1);
    CHECK_ERR(WEIR_E_DNS_ERROR, ask(&asked, drive, resolver, "one.test"));
    resolver_close(&resolver);
}

DRIVE_EACH(a_dead_server_is_an_error, ask_a_dead_server)

static void ask_without_servers(struct drive *drive)
{
    struct addr addr;
    struct asked asked = {};
    int silent = open_silent(&addr);
    struct resolver *resolver = open_hasty(drive, &addr, 1);
    CHECK_OK(ask(&asked, drive, resolver, "192.0.2.1"));
    CHECK(asked.count == 1 && has(&asked, "192.0.2.1:8080"));
    CHECK(weir_span_is_forever(asked.ttl));
    CHECK_OK(ask(&asked, drive, resolver, "2001:db8::1"));
    CHECK(asked.count == 1 && has(&asked, "[2001:db8::1]:8080"));
    CHECK(weir_span_is_forever(asked.ttl));
    CHECK_OK(ask(&asked, drive, resolver, "localhost"));
    CHECK(has(&asked, "127.0.0.1:8080") || has(&asked, "[::1]:8080"));
    CHECK(weir_span_is_forever(asked.ttl));
    CHECK(read(silent, (char[1]){}, 1) < 0); /* it was not asked */
    CHECK_EQ(3, asked.calls);
    resolver_close(&resolver);
    close(silent);
}

DRIVE_EACH(some_names_need_no_server, ask_without_servers)

/* The first name of /etc/hosts that c-ares could not know otherwise. */
static bool name_of_hosts(char name[static 64], char ip[static 64])
{
    char line[256];
    FILE *file = fopen("/etc/hosts", "r");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "%63[0-9.] %63[a-z0-9.-]", ip, name) == 2 &&
                strcmp(name, "localhost") != 0;
    if (file)
        fclose(file);
    return found;
}

static void ask_the_hosts_file(struct drive *drive)
{
    char name[64], ip[64], text[80];
    struct addr nobody = unused_addr();
    struct asked asked = {};
    if (!name_of_hosts(name, ip)) {
        check_skip("/etc/hosts has only localhost");
        return;
    }
    struct resolver *resolver = open_at(drive, &nobody, 1);
    snprintf(text, sizeof text, "%s:8080", ip);
    CHECK_OK(ask(&asked, drive, resolver, name));
    CHECK(has(&asked, text));
    CHECK(weir_span_is_forever(asked.ttl));
    resolver_close(&resolver);
}

DRIVE_EACH(the_hosts_file_is_read, ask_the_hosts_file)

static void ask_a_silent_server(struct drive *drive)
{
    struct addr addr;
    struct asked asked = {};
    char question[512];
    int silent = open_silent(&addr);
    struct resolver *resolver = open_hasty(drive, &addr, 1);
    struct weir_time begun = loop_now(&drive->loop);
    CHECK_ERR(WEIR_E_DNS_TIMEOUT, ask(&asked, drive, resolver, "one.test."));
    int64_t waited_ms = weir_span_to_ms(weir_time_between(begun, loop_now(&drive->loop)));
    CHECK(waited_ms >= 140 && waited_ms < 3000); /* 50 and twice that */
    unsigned heard = 0;
    while (recv(silent, question, sizeof question, 0) > 0)
        heard++;
    CHECK_EQ(4, heard); /* for IPv4 and IPv6, twice */
    CHECK_EQ(1, asked.calls);
    resolver_close(&resolver);
    close(silent);
}

DRIVE_EACH(patience_ends, ask_a_silent_server)

static void cancel(struct drive *drive)
{
    struct addr addr;
    struct asked *asked = calloc(1, sizeof *asked);
    struct asked other = {};
    int silent = open_silent(&addr);
    struct resolver *resolver = open_hasty(drive, &addr, 1);
    must(asked);
    resolve_cancel(&asked->resolve);
    start(asked, drive, resolver, "192.0.2.1"); /* c-ares knows it already */
    resolve_cancel(&asked->resolve);
    start(asked, drive, resolver, "one.test.");
    resolve_cancel(&asked->resolve);
    start(asked, drive, resolver, "one.test.");
    let_turn(drive, 3);
    resolve_cancel(&asked->resolve);
    CHECK_EQ(0, asked->calls);
    CHECK_OK(ask(asked, drive, resolver, "192.0.2.2"));
    CHECK(asked->calls == 1 && has(asked, "192.0.2.2:8080"));
    free(asked); /* whoever still used it would be seen under a sanitizer */
    CHECK_ERR(WEIR_E_DNS_TIMEOUT, ask(&other, drive, resolver, "two.test."));
    resolver_close(&resolver);
    close(silent);
}

DRIVE_EACH(a_question_may_be_given_up, cancel)

static void close_with_questions(struct drive *drive)
{
    struct addr addr;
    struct asked asked[4] = {};
    int silent = open_silent(&addr);
    struct resolver *resolver = open_hasty(drive, &addr, 1);
    start(&asked[0], drive, resolver, "one.test.");
    start(&asked[1], drive, resolver, "two.test.");
    let_turn(drive, 3);
    start(&asked[2], drive, resolver, "three.test.");
    start(&asked[3], drive, resolver, "192.0.2.1");
    resolve_cancel(&asked[1].resolve);
    resolver_close(&resolver);
    CHECK(!resolver);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(i != 1, asked[i].calls);
        CHECK_ERR(i != 1 ? WEIR_E_CANCELED : WEIR_OK, asked[i].err);
        resolve_cancel(&asked[i].resolve);
    }
    let_turn(drive, 3);
    resolver_close(&resolver);
    close(silent);
}

DRIVE_EACH(an_end_answers_all, close_with_questions)

static struct resolver *asking_again; /* in the test below */

static void ask_again(struct resolve *resolve, enum weir_err err, const struct addr *addrs,
                      unsigned count, struct weir_span ttl)
{
    struct asked *asked = container_of(resolve, struct asked, resolve);
    note(resolve, err, addrs, count, ttl);
    asked->happened = asked->calls == 3;
    if (!asked->happened)
        resolve_start(asking_again, resolve, "192.0.2.1", 1, ask_again);
}

static void ask_from_an_answer(struct drive *drive)
{
    struct addr nobody = unused_addr();
    struct asked asked = {.drive = drive};
    asking_again = open_at(drive, &nobody, 1);
    resolve_start(asking_again, &asked.resolve, "one.test", 1, ask_again);
    CHECK(expect_soon(drive, &asked.happened));
    CHECK_EQ(3, asked.calls);
    CHECK(asked.err == WEIR_OK && has(&asked, "192.0.2.1:1"));
    resolver_close(&asking_again);
}

DRIVE_EACH(an_answer_may_ask_again, ask_from_an_answer)

static void refuse_options(struct drive *drive)
{
    struct addr local;
    struct resolver *resolver = NULL;
    CHECK_OK(addr_parse(SLICE("unix:/tmp/nobody"), &local));
    struct resolver_options options = {.servers = &local, .server_count = 1};
    CHECK_ERR(WEIR_E_ADDRESS, resolver_open(&drive->loop, &options, &resolver));
    CHECK(!resolver);
    CHECK_OK(resolver_open(&drive->loop, &(struct resolver_options){}, &resolver));
    resolver_close(&resolver);
}

DRIVE_EACH(a_server_has_an_ip_address, refuse_options)

/* Each thread with a loop and a resolver of its own, all at once. */
static void ask_once(struct drive *drive)
{
    struct addr nobody = unused_addr();
    struct asked asked = {};
    struct resolver *resolver = open_at(drive, &nobody, 1);
    CHECK_OK(ask(&asked, drive, resolver, "localhost"));
    CHECK_ERR(WEIR_E_DNS_ERROR, ask(&asked, drive, resolver, "one.test"));
    resolver_close(&resolver);
}

static void *ask_in_a_thread(void *argument)
{
    struct drive drive = {.body = ask_once};
    (void)argument;
    must(loop_init(&drive.loop, &(struct loop_options){.ops = &epoll_ops}) == WEIR_OK);
    must(co_spawn(&drive.loop.sched, NULL, "test", drive_main, &drive, NULL) == WEIR_OK);
    loop_run(&drive.loop);
    loop_fini(&drive.loop);
    return NULL;
}

TEST(each_thread_may_have_one)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        must(pthread_create(&threads[i], NULL, ask_in_a_thread, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

CHECK_MAIN
