/* SPDX-License-Identifier: MIT */
/*
 * The estimator.
 *
 * Idle timeout. The last closes are kept, the oldest first. A group of neighbours agrees when their
 * ages lie so close together that closes at random would hardly do so: of n closes, evenly spread
 * from 0 to the highest, the other n - 1 fall into a part p below it with a chance of p^(n-1), and
 * that must be less than one in a thousand. So a server with a precise timer is known after three
 * closes, one that looks once in a while only after some more (`agreeing_permille`). The newest
 * group that agrees is believed, and the largest of those: when a server changes from 60 s to 5 s
 * three closes at 5 s outweigh all before, and one early close does not.
 *
 *   timeout = the lowest age of the group
 *   safe    = that, less the largest of a tenth, how far the group is spread, and 20 ms
 *
 * Survivors speak against closes, and a close is a survivor of any shorter age. A rest much longer
 * than a close's age proves that it was not the timeout: the close is struck out. One that is
 * somewhat longer raises the close's `reach`, and the spread of a group goes from its lowest age to
 * its highest reach: it must agree all the more often. Only survivors seen after the close count,
 * so that a timeout which became shorter is believed.
 *
 * Closes at one moment are one: a server that restarts ends all connections, and those of a burst
 * have rested equally long.
 *
 * What is known expires when no close confirms it. The closes stay, so that one more close at that
 * age is enough to know it again. Before that a probe asks for it each minute.
 *
 * Requests. The peer's limit is known when three connections in a row ended after exactly as many.
 * A connection that carried more proves it wrong. Nobody probes it: most servers announce the last
 * response, and so each connection confirms it. It expires too; and early when it is small, since
 * to believe it wrongly would cost a dial for nearly every request. One close confirms it again.
 */
#include "upstream/learn.h"

/* A close so soon after a response belongs to that response. */
#define CLOSED_AT_ONCE weir_span_ms(50)
/* Closes are seen some milliseconds late or early: this much more is still the same age. */
#define LITTLE weir_span_ms(10)
#define MARGIN_MIN weir_span_ms(20)
#define ONE_MOMENT_MAX weir_span_s(1)
#define PROBE_EVERY weir_span_s(60)
#define EXPIRES_AFTER weir_span_s(600)
#define FEW_REQUESTS_EXPIRE_AFTER weir_span_s(60)

enum { AGREEING_MIN = 3, FEW_REQUESTS = 10 };

/* How far n closes may be spread, of their highest: the (n-1)th root of a thousandth. */
static const int64_t agreeing_permille[LEARN_CLOSES + 1] = {
    [3] = 31, [4] = 100, [5] = 177, [6] = 251, [7] = 316, [8] = 372,
};

static int64_t min_ns(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_ns(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void learn_init(struct learn *learn)
{
    *learn = (struct learn){.low = WEIR_FOREVER, .high = WEIR_FOREVER};
}

/* Whether closes first .. end - 1 agree; then they are what is known. */
static bool believe_if_agreed(struct learn *learn, unsigned first, unsigned end)
{
    struct weir_span low = WEIR_FOREVER, high = weir_span_ns(0);
    for (unsigned i = first; i < end; i++) {
        low.ns = min_ns(low.ns, learn->closes[i].age.ns);
        high.ns = max_ns(high.ns, learn->closes[i].reach.ns);
    }
    if (high.ns - low.ns > high.ns / 1000 * agreeing_permille[end - first] + LITTLE.ns)
        return false;
    learn->low = low;
    learn->high = high;
    learn->idle_confirmed = learn->closes[end - 1].at;
    return true;
}

static void review(struct learn *learn)
{
    for (unsigned end = learn->close_count; end >= AGREEING_MIN; end--)
        for (unsigned first = 0; end - first >= AGREEING_MIN; first++)
            if (believe_if_agreed(learn, first, end))
                return;
    learn->low = learn->high = WEIR_FOREVER;
}

/* Below this a close cannot have come from the timeout of a peer that let `age` pass. */
static struct weir_span disproved_below(struct weir_span age)
{
    return weir_span_ns(age.ns / 5 * 3 - LITTLE.ns);
}

static void outlived(struct learn *learn, struct weir_span age)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < learn->close_count; i++) {
        struct learn_close close = learn->closes[i];
        if (close.age.ns < disproved_below(age).ns)
            continue;
        close.reach.ns = max_ns(close.reach.ns, age.ns);
        learn->closes[kept++] = close;
    }
    learn->close_count = kept;
}

/* Joins a close to the newest one, if it came in the same moment. */
static bool joins_newest(struct learn *learn, struct weir_time now, struct weir_span age)
{
    if (learn->close_count == 0)
        return false;
    struct learn_close *newest = &learn->closes[learn->close_count - 1];
    if (weir_time_between(newest->at, now).ns >= min_ns(age.ns / 4, ONE_MOMENT_MAX.ns))
        return false;
    /* A much lower age would have been disproved, had it come first. */
    if (age.ns >= disproved_below(newest->reach).ns)
        newest->age.ns = min_ns(newest->age.ns, age.ns);
    return true;
}

static void add_close(struct learn *learn, struct weir_time now, struct weir_span age)
{
    if (joins_newest(learn, now, age))
        return;
    if (learn->close_count == LEARN_CLOSES) {
        for (unsigned i = 1; i < LEARN_CLOSES; i++)
            learn->closes[i - 1] = learn->closes[i];
        learn->close_count--;
    }
    learn->closes[learn->close_count++] = (struct learn_close){now, age, age};
}

static void carried(struct learn *learn, uint64_t requests)
{
    if (requests > learn->run_requests)
        learn->run = 0;
    if (requests > learn->max_requests)
        learn->max_requests = 0;
}

void learn_closed(struct learn *learn, struct weir_time now, struct weir_span idle_age,
                  uint64_t requests)
{
    if (idle_age.ns < CLOSED_AT_ONCE.ns) {
        learn_closed_after(learn, now, requests);
        return;
    }
    carried(learn, requests);
    outlived(learn, idle_age);
    add_close(learn, now, idle_age);
    review(learn);
}

void learn_closed_after(struct learn *learn, struct weir_time now, uint64_t requests)
{
    carried(learn, requests);
    if (learn->run == 0 || requests != learn->run_requests) {
        learn->run_requests = requests;
        learn->run = 0;
    }
    if (learn->run < AGREEING_MIN)
        learn->run++;
    if (learn->run == AGREEING_MIN)
        learn->max_requests = requests;
    if (requests == learn->max_requests)
        learn->max_confirmed = now;
}

void learn_survived(struct learn *learn, struct weir_time now, struct weir_span idle_age,
                    uint64_t requests)
{
    (void)now;
    carried(learn, requests);
    outlived(learn, idle_age);
    review(learn);
}

struct weir_span learn_news_rest(const struct learn *learn)
{
    struct weir_span rest = WEIR_FOREVER;
    for (unsigned i = 0; i < learn->close_count; i++)
        rest.ns = min_ns(rest.ns, learn->closes[i].reach.ns);
    return rest;
}

uint64_t learn_news_requests(const struct learn *learn)
{
    uint64_t requests = learn->run > 0 ? learn->run_requests : UINT64_MAX;
    if (learn->max_requests > 0 && learn->max_requests < requests)
        return learn->max_requests;
    return requests;
}

/* Long enough to disprove every close of the group. */
static struct weir_span probe_age(const struct learn *learn)
{
    return weir_span_ns(learn->high.ns / 3 * 5 + weir_span_s(1).ns);
}

static bool knows_idle_timeout(const struct learn *learn, struct weir_time now)
{
    if (weir_span_is_forever(learn->low))
        return false;
    /* A probe that begins in time must come to its end. */
    int64_t expires_after = EXPIRES_AFTER.ns + probe_age(learn).ns;
    return weir_time_between(learn->idle_confirmed, now).ns < expires_after;
}

struct weir_span learn_idle_timeout(const struct learn *learn, struct weir_time now)
{
    return knows_idle_timeout(learn, now) ? learn->low : WEIR_FOREVER;
}

struct weir_span learn_safe_rest(const struct learn *learn, struct weir_time now)
{
    if (!knows_idle_timeout(learn, now))
        return WEIR_FOREVER;
    int64_t margin = max_ns(learn->low.ns / 10, learn->high.ns - learn->low.ns);
    return weir_span_ns(max_ns(0, learn->low.ns - max_ns(margin, MARGIN_MIN.ns)));
}

uint64_t learn_max_requests(const struct learn *learn, struct weir_time now)
{
    bool few = learn->max_requests < FEW_REQUESTS;
    struct weir_span expires_after = few ? FEW_REQUESTS_EXPIRE_AFTER : EXPIRES_AFTER;
    bool expired = weir_time_between(learn->max_confirmed, now).ns >= expires_after.ns;
    return expired ? 0 : learn->max_requests;
}

bool learn_wants_probe(const struct learn *learn, struct weir_time now)
{
    return knows_idle_timeout(learn, now) &&
           weir_time_between(learn->idle_confirmed, now).ns >= PROBE_EVERY.ns;
}

struct weir_span learn_probe_age(const struct learn *learn, struct weir_time now)
{
    return knows_idle_timeout(learn, now) ? probe_age(learn) : WEIR_FOREVER;
}
