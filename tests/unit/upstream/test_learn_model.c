/* SPDX-License-Identifier: MIT */
/*
 * The learner in the hands of a model: a pool that asks it and servers that close, in model time.
 * What counts are stale hits, requests that meet the server's close.
 */
#include "upstream/learn.h"

#include "base/check.h"
#include "base/rand.h"

#include "tests/check.h"

#define MS(count) weir_span_ms(count)
#define S(count) weir_span_s(count)
#define HOUR S(3600)
#define DAY S(86400)

/* From one end to the other; a request so near to the close meets it. */
#define FLIGHT MS(1)

/* How it closes: after a rest of idle .. idle + jitter, and after so many requests. */
struct server {
    struct weir_span idle, jitter;
    uint64_t max_requests; /* 0: no limit */
    bool announces;        /* the last response says so */
};

enum conn_state { GONE, USED, RESTS, PROBES };

struct model_conn {
    enum conn_state state;
    struct weir_time released, server_ends, probe_ends;
    uint64_t requests;
};

enum { MODEL_CONNS = 16 };

struct model {
    struct server server;
    struct weir_span gap, gap_jitter; /* between bursts of requests */
    unsigned burst;
    bool ignores; /* the pool does not ask the learner */
    struct rand rand;
    struct weir_time now;
    struct learn learn, told_all; /* the second is told of every survivor */
    struct model_conn conns[MODEL_CONNS];
    unsigned requests, dials, stale, probes;
    unsigned closes, ends;             /* that were told: of resting ones, and after a response */
    unsigned learned, forgotten;       /* how often a timeout began to be known, and ceased to be */
    unsigned known_requests;           /* how many came while one was known */
    unsigned closes_first, ends_first; /* had been told when it was known for the first time */
    unsigned stale_after;              /* that */
    bool knows, ever_knew, ever_knew_max;
};

static struct weir_span draw(struct model *model, struct weir_span least, struct weir_span jitter)
{
    if (weir_span_is_forever(least) || jitter.ns == 0)
        return least;
    return weir_span_ns(least.ns + (int64_t)rand_below(&model->rand, (uint64_t)jitter.ns));
}

static void model_init(struct model *model, struct server server, uint64_t seed)
{
    *model = (struct model){.server = server, .burst = 1};
    rand_init(&model->rand, seed);
    learn_init(&model->learn);
    learn_init(&model->told_all);
}

static void requests_every(struct model *model, struct weir_span gap, struct weir_span jitter)
{
    model->gap = gap;
    model->gap_jitter = jitter;
}

static struct weir_span model_timeout(const struct model *model)
{
    return learn_idle_timeout(&model->learn, model->now);
}

static struct weir_span model_safe_rest(const struct model *model)
{
    return model->ignores ? WEIR_FOREVER : learn_safe_rest(&model->learn, model->now);
}

static uint64_t model_max_requests(const struct model *model)
{
    return model->ignores ? 0 : learn_max_requests(&model->learn, model->now);
}

/* Who is told of the news alone knows all that is to be known. */
static void check_news_suffice(const struct model *model)
{
    const struct learn *all = &model->told_all;
    must(model_timeout(model).ns == learn_idle_timeout(all, model->now).ns);
    must(learn_safe_rest(&model->learn, model->now).ns == learn_safe_rest(all, model->now).ns);
    must(learn_max_requests(&model->learn, model->now) == learn_max_requests(all, model->now));
}

static void note_knowledge(struct model *model)
{
    bool knows = !weir_span_is_forever(model_timeout(model));
    bool knows_max = learn_max_requests(&model->learn, model->now) > 0;
    check_news_suffice(model);
    if (knows && !model->ever_knew)
        model->closes_first = model->closes;
    if (knows_max && !model->ever_knew_max)
        model->ends_first = model->ends;
    model->learned += knows && !model->knows;
    model->forgotten += model->knows && !knows;
    model->knows = knows;
    model->ever_knew |= knows;
    model->ever_knew_max |= knows_max;
}

static void tell_closed(struct model *model, struct weir_span age, uint64_t requests)
{
    /* Soon after a response the learner takes it for an end. */
    model->closes += age.ns >= MS(50).ns;
    model->ends += age.ns < MS(50).ns;
    learn_closed(&model->learn, model->now, age, requests);
    learn_closed(&model->told_all, model->now, age, requests);
    note_knowledge(model);
}

static void tell_end(struct model *model, uint64_t requests)
{
    model->ends++;
    learn_closed_after(&model->learn, model->now, requests);
    learn_closed_after(&model->told_all, model->now, requests);
    note_knowledge(model);
}

static void tell_survived(struct model *model, struct weir_span age, uint64_t requests)
{
    if (age.ns > learn_news_rest(&model->learn).ns || requests > learn_news_requests(&model->learn))
        learn_survived(&model->learn, model->now, age, requests);
    learn_survived(&model->told_all, model->now, age, requests);
    note_knowledge(model);
}

static struct weir_time pool_acts_at(const struct model *model, const struct model_conn *conn)
{
    return conn->state == PROBES ? conn->probe_ends
                                 : weir_time_after(conn->released, model_safe_rest(model));
}

static bool has_probe(const struct model *model)
{
    for (int i = 0; i < MODEL_CONNS; i++)
        if (model->conns[i].state == PROBES)
            return true;
    return false;
}

/* The pool retires a connection, or lets it stay as a probe, or that has stayed long enough. */
static void pool_acts(struct model *model, struct model_conn *conn)
{
    if (conn->state == PROBES) {
        conn->state = GONE;
        tell_survived(model, weir_time_between(conn->released, model->now), conn->requests);
    } else if (!has_probe(model) && learn_wants_probe(&model->learn, model->now)) {
        struct weir_span stay = learn_probe_age(&model->learn, model->now);
        conn->state = PROBES;
        conn->probe_ends = weir_time_after(conn->released, stay);
        model->probes++;
    } else {
        conn->state = GONE;
    }
}

/* The next of what happens to resting connections, if it is before `until`. */
static bool turn(struct model *model, struct weir_time until)
{
    struct weir_time first = WEIR_NEVER;
    struct model_conn *found = NULL;
    bool server_did = false;
    for (struct model_conn *conn = model->conns; conn < model->conns + MODEL_CONNS; conn++) {
        if (conn->state != RESTS && conn->state != PROBES)
            continue;
        struct weir_time seen = weir_time_after(conn->server_ends, FLIGHT);
        struct weir_time acts = pool_acts_at(model, conn);
        if (!weir_time_before(weir_time_min(seen, acts), first))
            continue;
        first = weir_time_min(seen, acts);
        found = conn;
        server_did = !weir_time_before(acts, seen);
    }
    if (!found || !weir_time_before(first, until))
        return false;
    if (weir_time_before(model->now, first))
        model->now = first;
    if (server_did) {
        found->state = GONE;
        tell_closed(model, weir_time_between(found->released, model->now), found->requests);
    } else if (!weir_time_before(model->now, pool_acts_at(model, found))) {
        pool_acts(model, found); /* else what was known has just expired */
    }
    return true;
}

/* The one released last, or a new one. */
static struct model_conn *checkout(struct model *model)
{
    struct model_conn *last = NULL, *place = NULL;
    for (struct model_conn *conn = model->conns; conn < model->conns + MODEL_CONNS; conn++)
        if (conn->state == GONE)
            place = conn;
        else if (conn->state == RESTS &&
                 (!last || weir_time_before(last->released, conn->released)))
            last = conn;
    if (!last) {
        must(place);
        *place = (struct model_conn){0};
        model->dials++;
        last = place;
    }
    last->state = USED;
    return last;
}

static void use(struct model *model, struct model_conn *conn)
{
    model->requests++;
    model->known_requests += model->knows;
    if (conn->requests == 0) {
        conn->requests = 1;
    } else if (weir_time_between(model->now, conn->server_ends).ns <= FLIGHT.ns) {
        model->stale++;
        model->stale_after += model->ever_knew || model->ever_knew_max;
        model->dials++;
        conn->requests = 1;
    } else {
        conn->requests++;
        tell_survived(model, weir_time_between(conn->released, model->now), conn->requests);
    }
}

static void release(struct model *model, struct model_conn *conn)
{
    bool last = model->server.max_requests > 0 && conn->requests >= model->server.max_requests;
    uint64_t limit = model_max_requests(model);
    conn->state = GONE;
    if (last && model->server.announces)
        tell_end(model, conn->requests);
    if ((last && model->server.announces) || (limit > 0 && conn->requests >= limit))
        return;
    struct weir_span rest = draw(model, model->server.idle, model->server.jitter);
    conn->state = RESTS;
    conn->released = model->now;
    conn->server_ends = last ? model->now : weir_time_after(model->now, rest);
}

static void run_burst(struct model *model)
{
    struct model_conn *used[MODEL_CONNS];
    must(model->burst <= MODEL_CONNS);
    for (unsigned i = 0; i < model->burst; i++)
        used[i] = checkout(model);
    for (unsigned i = 0; i < model->burst; i++) {
        use(model, used[i]);
        release(model, used[i]);
    }
}

static void run(struct model *model, struct weir_span length)
{
    struct weir_time end = weir_time_after(model->now, length);
    while (weir_time_before(model->now, end)) {
        struct weir_span gap = draw(model, model->gap, model->gap_jitter);
        struct weir_time next = weir_time_after(model->now, gap);
        while (turn(model, next))
            ;
        model->now = next;
        note_knowledge(model);
        run_burst(model);
    }
}

static void tell_figures(const char *name, const struct model *model)
{
    printf("# %s: %u requests, %u dials, %u stale, %u after learning; %u closes, %u ends; learned "
           "%u times, first after %u closes, forgotten %u times, known at %u requests; %u probes\n",
           name, model->requests, model->dials, model->stale, model->stale_after, model->closes,
           model->ends, model->learned, model->closes_first, model->forgotten,
           model->known_requests, model->probes);
}

/* --- Servers with a timeout --- */

struct timeout_case {
    const char *name;
    int64_t idle_ms, jitter_ms, gap_ms, gap_jitter_ms;
    unsigned burst;
    unsigned closes_most;   /* that it takes to learn */
    unsigned stale_without; /* learning there are no fewer */
};

static const struct timeout_case timeout_cases[] = {
    {"300 ms", 300, 0, 100, 300, 1, 3, 1000},
    {"1 s", 1000, 0, 500, 1000, 1, 3, 80},
    {"5 s", 5000, 0, 1000, 8000, 1, 3, 3},
    {"5 s, in bursts", 5000, 0, 1000, 8000, 8, 24, 20},
    {"5 s, requests at just that", 5000, 0, 4950, 100, 1, 3, 150},
    {"60 s", 60000, 0, 10000, 100000, 1, 3, 0},
    {"75 s, requests at just that", 75000, 0, 74500, 1000, 1, 3, 1},
    {"5 to 6 s", 5000, 1000, 1000, 8000, 1, 5, 2},
    {"5 to 6 s, requests at just that", 5000, 1000, 4900, 1200, 1, 5, 10},
    {"5 to 6 s, in bursts", 5000, 1000, 4000, 3000, 8, 40, 40},
    {"2 to 3 s", 2000, 1000, 500, 4000, 1, 20, 10},
    {"60 to 61 s", 60000, 1000, 40000, 40000, 1, 3, 0},
};

static void run_case(const struct timeout_case *row, struct model *model, uint64_t seed)
{
    struct server server = {MS(row->idle_ms), MS(row->jitter_ms), 0, false};
    bool ignores = model->ignores;
    model_init(model, server, seed);
    model->ignores = ignores;
    model->burst = row->burst;
    requests_every(model, MS(row->gap_ms), MS(row->gap_jitter_ms));
    run(model, DAY);
}

/* What is known is the timeout, lies in its jitter, and is asked for once in a while. */
static bool check_case(const struct timeout_case *row, const struct model *model)
{
    int64_t timeout_ms = weir_span_to_ms(model_timeout(model));
    int64_t safe_ms = weir_span_to_ms(model_safe_rest(model));
    bool good = CHECK_EQ(1, model->learned);
    good = CHECK_EQ(0, model->forgotten) && good;
    good = CHECK(model->closes_first <= row->closes_most) && good;
    good = CHECK_EQ(0, model->stale_after) && good;
    good = CHECK(timeout_ms >= row->idle_ms) && good;
    good = CHECK(timeout_ms <= row->idle_ms + row->jitter_ms + 1) && good;
    good = CHECK(safe_ms <= row->idle_ms - row->idle_ms / 20) && good;
    good = CHECK(safe_ms >= row->idle_ms - row->idle_ms / 10 - row->jitter_ms - 1) && good;
    return CHECK(model->probes > 500 && model->probes < 1441) && good;
}

TEST(a_timeout_is_learned_and_then_no_request_meets_it)
{
    for (size_t i = 0; i < sizeof timeout_cases / sizeof *timeout_cases; i++) {
        struct model model = {.ignores = false};
        run_case(&timeout_cases[i], &model, i);
        if (!check_case(&timeout_cases[i], &model))
            tell_figures(timeout_cases[i].name, &model);
    }
}

/* The same days without a learner: that the model has stale hits to count. */
TEST(without_learning_requests_meet_it)
{
    for (size_t i = 0; i < sizeof timeout_cases / sizeof *timeout_cases; i++) {
        struct model model = {.ignores = true};
        run_case(&timeout_cases[i], &model, i);
        if (!CHECK(model.stale >= timeout_cases[i].stale_without))
            tell_figures(timeout_cases[i].name, &model);
    }
}

TEST(what_never_closes_teaches_nothing)
{
    struct model model;
    model_init(&model, (struct server){WEIR_FOREVER, MS(0), 0, false}, 1);
    requests_every(&model, S(1), S(100));
    run(&model, DAY);
    CHECK_EQ(0, model.learned + model.closes + model.ends + model.probes);
    CHECK_EQ(1, model.dials);
}

/* Under a dense load nothing rests, so that nothing confirms; then one close is enough. */
TEST(it_expires_and_comes_back)
{
    struct model model;
    model_init(&model, (struct server){S(5), MS(0), 0, false}, 1);
    requests_every(&model, S(8), S(1));
    run(&model, HOUR);
    CHECK(model.knows);
    unsigned closes = model.closes;
    requests_every(&model, S(1), S(1));
    run(&model, HOUR);
    CHECK_EQ(1, model.forgotten);
    CHECK(!model.knows);
    CHECK_EQ(closes, model.closes);
    requests_every(&model, S(8), S(1));
    run(&model, S(30));
    CHECK(model.knows);
    CHECK_EQ(closes + 1, model.closes);
}

/* --- Servers that change --- */

struct change_case {
    const char *name;
    int64_t before_ms, after_ms, jitter_ms; /* after 0: never closes */
    int64_t gap_ms, gap_jitter_ms;
    int64_t settled_s;    /* so soon what is known fits */
    unsigned closes_most; /* that it takes until then */
};

static const struct change_case change_cases[] = {
    {"60 s to 5 s", 60000, 5000, 0, 3000, 5000, 60, 3},
    {"60 s to 5 s, requests at just that", 60000, 5000, 0, 4950, 100, 60, 3},
    {"60 s to 5 s, jitter", 60000, 5000, 1000, 3000, 5000, 120, 5},
    {"5 s to 1 s", 5000, 1000, 0, 500, 3000, 60, 3},
    {"5 s to 60 s", 5000, 60000, 0, 3000, 100000, 900, 4},
    {"5 s to 7 s", 5000, 7000, 0, 3000, 10000, 180, 4},
    {"5 s to never", 5000, 0, 0, 3000, 10000, 100, 1},
    {"60 s to never", 60000, 0, 0, 30000, 60000, 360, 1},
};

/* Whether what is known fits the server as it is now. */
static bool fits(const struct model *model)
{
    int64_t timeout_ns = model_timeout(model).ns, idle_ns = model->server.idle.ns;
    if (weir_span_is_forever(model->server.idle))
        return !model->knows;
    return timeout_ns >= idle_ns && timeout_ns <= idle_ns + model->server.jitter.ns + 2 * FLIGHT.ns;
}

static bool check_settles(const struct change_case *row, struct model *model)
{
    struct weir_time changed = model->now;
    unsigned closes = model->closes;
    while (!fits(model) && weir_time_between(changed, model->now).ns < HOUR.ns)
        run(model, MS(1));
    bool good = CHECK(weir_time_between(changed, model->now).ns <= S(row->settled_s).ns);
    return CHECK(model->closes - closes <= row->closes_most) && good;
}

static bool check_change(const struct change_case *row, struct model *model)
{
    struct weir_span after = row->after_ms > 0 ? MS(row->after_ms) : WEIR_FOREVER;
    model_init(model, (struct server){MS(row->before_ms), MS(0), 0, false}, 1);
    requests_every(model, MS(row->before_ms / 2), MS(row->before_ms));
    run(model, HOUR);
    bool good = CHECK(fits(model));
    model->server = (struct server){after, MS(row->jitter_ms), 0, false};
    requests_every(model, MS(row->gap_ms), MS(row->gap_jitter_ms));
    good = check_settles(row, model) && good;
    unsigned stale = model->stale;
    run(model, DAY);
    good = CHECK_EQ(stale, model->stale) && good;
    return CHECK(fits(model)) && good;
}

TEST(a_change_is_noticed)
{
    for (size_t i = 0; i < sizeof change_cases / sizeof *change_cases; i++) {
        struct model model;
        if (!check_change(&change_cases[i], &model))
            tell_figures(change_cases[i].name, &model);
    }
}

/* --- Closes at random --- */

/* Over 50 days: they are taken for a timeout less than twice in a thousand closes, and shortly. */
static void check_random(int64_t gap_ms)
{
    unsigned closes = 0, learned = 0, requests = 0, known = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct model model;
        model_init(&model, (struct server){MS(0), S(60), 0, false}, seed);
        requests_every(&model, MS(0), MS(gap_ms));
        run(&model, DAY);
        closes += model.closes;
        learned += model.learned;
        requests += model.requests;
        known += model.known_requests;
    }
    bool good = CHECK(closes > 50000);
    good = CHECK(learned * 500 < closes) && good;
    good = CHECK(known * 100 < requests) && good;
    if (!good)
        printf("# a request every 0 to %d ms: learned %u times of %u closes, known at %u of %u "
               "requests\n",
               (int)gap_ms, learned, closes, known, requests);
}

TEST(random_closes_are_not_learned)
{
    static const int64_t gaps_ms[] = {5000, 20000, 60000, 120000};
    for (size_t i = 0; i < sizeof gaps_ms / sizeof *gaps_ms; i++)
        check_random(gaps_ms[i]);
}

/* --- Servers with a limit of requests --- */

struct limit_case {
    const char *name;
    uint64_t limit;
    bool announces;
    unsigned burst;
    unsigned ends_most; /* that it takes to learn */
};

static const struct limit_case limit_cases[] = {
    {"1000", 1000, true, 1, 3},
    {"1000, not announced", 1000, false, 1, 3},
    {"1000, in bursts", 1000, true, 8, 3},
    {"5, not announced", 5, false, 1, 3},
    {"closes after each response", 1, true, 1, 8},
    {"closes after each response, not announced", 1, false, 1, 8},
};

static bool check_limit(const struct limit_case *row, struct model *model)
{
    model_init(model, (struct server){S(60), MS(0), row->limit, row->announces}, 1);
    model->burst = row->burst;
    requests_every(model, MS(5), MS(30));
    run(model, HOUR);
    bool good = CHECK_EQ(row->limit, learn_max_requests(&model->learn, model->now));
    good = CHECK(model->ever_knew_max && model->ends_first <= row->ends_most) && good;
    good = CHECK_EQ(0, model->stale + model->learned) && good;
    uint64_t dials = model->requests / row->limit;
    good = CHECK(model->dials >= dials && model->dials <= dials + row->burst) && good;
    /* Who announces confirms; who does not is met seldom: it expires, and one end is enough. */
    uint64_t ends = row->announces ? dials - row->burst : 3;
    good = CHECK(model->ends >= ends) && good;
    return CHECK(row->announces || model->ends <= row->ends_most + HOUR.ns / S(60).ns) && good;
}

TEST(a_limit_of_requests_is_learned)
{
    for (size_t i = 0; i < sizeof limit_cases / sizeof *limit_cases; i++) {
        struct model model;
        if (!check_limit(&limit_cases[i], &model))
            tell_figures(limit_cases[i].name, &model);
    }
}

TEST(a_change_of_the_limit_is_noticed)
{
    static const struct {
        uint64_t before, after;
    } rows[] = {{1000, 100}, {100, 1000}, {1000, 0}, {1, 0}, {0, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct model model;
        model_init(&model, (struct server){S(60), MS(0), rows[i].before, true}, i);
        requests_every(&model, MS(5), MS(30));
        run(&model, HOUR);
        bool good = CHECK_EQ(rows[i].before, model_max_requests(&model));
        model.server.max_requests = rows[i].after;
        run(&model, HOUR);
        good = CHECK_EQ(rows[i].after, model_max_requests(&model)) && good;
        if (!good)
            printf("# from %d to %d\n", (int)rows[i].before, (int)rows[i].after);
    }
}

CHECK_MAIN
