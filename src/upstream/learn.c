/* SPDX-License-Identifier: MIT */
/*
 * The estimator.
 *
 * Idle timeout. A run of closes agrees when their ages lie so close together that closes at random
 * would hardly do so: of n closes, evenly spread from 0 to the highest, the other n - 1 fall into a
 * part p below it with a chance of p^(n-1), which must be less than one in a thousand. So a server
 * with a precise timer is known after three closes, and one that looks only once in a while after
 * some more (`agreeing_permille`). The newest closes decide, as many of them as agree: when a
 * server changes from 60 s to 5 s, three closes at 5 s outweigh all before; one or two early ones
 * do not.
 *
 *   timeout = the lowest age that agrees
 *   safe    = that, less the largest of a tenth, how far they are spread, and 20 ms
 *
 * Survivors speak against closes, and a close is a survivor of any shorter age. A rest longer than
 * a close's age raises the close's `reach`, and ages are spread from the lowest of them to the
 * highest reach: they must agree all the more often, or never will when that rest was much longer.
 * Only survivors seen after the close count, so that a timeout that became shorter is learned.
 *
 * What is believed stays until survivors disprove it, another run agrees, or three closes in a row
 * fit neither. It is firm after five closes that nearly coincide: from then on a close elsewhere is
 * an exception, and does not widen it.
 *
 * Closes in one moment are one: a server that restarts ends all its connections, and those of a
 * burst have rested equally long.
 *
 * Knowledge expires when no close confirms it; then one close at that age is enough to know it
 * again. Before, a probe asks for it every minute.
 *
 * Requests. The peer's limit is known when three connections in a row ended after exactly as many.
 * A connection that carried more disproves it. There is no probe: most servers announce the last
 * response, and so each connection confirms it. It expires likewise, and early when it is small,
 * since to believe that wrongly costs a dial for nearly every request.
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

enum {
    AGREEING_MIN = 3,
    AGREEING_FIRMLY = 5,
    MISFITS_MAX = 3,
    FEW_REQUESTS = 10,
    SINGLE_ENDS_MIN = 8
};

/* How far n closes may be spread, of their highest: the (n-1)th root of a thousandth. */
static const int64_t agreeing_permille[LEARN_RUN + 1] = {
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

static bool believes(const struct learn *learn)
{
    return !weir_span_is_forever(learn->low);
}

static void forget(struct learn *learn)
{
    learn->low = learn->high = WEIR_FOREVER;
}

/* Whether so many closes may be spread so far. */
static bool agree(struct weir_span low, struct weir_span high, unsigned count)
{
    return high.ns - low.ns <= high.ns / 1000 * agreeing_permille[count] + LITTLE.ns;
}

static bool is_firm(const struct learn *learn)
{
    return believes(learn) && learn->agreeing >= AGREEING_FIRMLY &&
           agree(learn->low, learn->high, AGREEING_MIN);
}

/* A rest of `age` was survived. */
static void outlived(struct learn *learn, struct weir_span age)
{
    for (unsigned i = 0; i < learn->run_count; i++)
        learn->run[i].reach.ns = max_ns(learn->run[i].reach.ns, age.ns);
    if (!believes(learn))
        return;
    learn->high.ns = max_ns(learn->high.ns, age.ns);
    if (!agree(learn->low, learn->high, learn->agreeing))
        forget(learn);
}

/* Joins a close to the newest one, if it came in the same moment. */
static bool joins_newest(struct learn *learn, struct weir_time now, struct weir_span age)
{
    if (learn->run_count == 0)
        return false;
    struct learn_close *newest = &learn->run[learn->run_count - 1];
    if (weir_time_between(newest->at, now).ns >= min_ns(age.ns / 4, ONE_MOMENT_MAX.ns))
        return false;
    newest->age.ns = min_ns(newest->age.ns, age.ns);
    return true;
}

static void append(struct learn *learn, struct weir_time now, struct weir_span age)
{
    if (learn->run_count == LEARN_RUN) {
        for (unsigned i = 1; i < LEARN_RUN; i++)
            learn->run[i - 1] = learn->run[i];
        learn->run_count--;
    }
    learn->run[learn->run_count++] = (struct learn_close){now, age, age};
}

/* As many of the newest closes as agree, if they are enough, are what is believed now. */
static bool believe_run(struct learn *learn)
{
    for (unsigned first = 0; first + AGREEING_MIN <= learn->run_count; first++) {
        unsigned count = learn->run_count - first;
        struct weir_span low = WEIR_FOREVER, high = weir_span_ns(0);
        for (unsigned i = first; i < learn->run_count; i++) {
            low.ns = min_ns(low.ns, learn->run[i].age.ns);
            high.ns = max_ns(high.ns, learn->run[i].reach.ns);
        }
        if (!agree(low, high, count))
            continue;
        learn->low = low;
        learn->high = high;
        learn->agreeing = count;
        learn->misfits = 0;
        learn->idle_confirmed = learn->run[learn->run_count - 1].at;
        return true;
    }
    return false;
}

/* Whether the close is one more of those that are believed; then it confirms them. */
static bool confirms(struct learn *learn, struct weir_time now, struct weir_span age)
{
    struct weir_span low = weir_span_ns(min_ns(learn->low.ns, age.ns));
    bool firm = is_firm(learn) && agree(low, learn->high, AGREEING_MIN);
    if (!believes(learn) || !(firm || age.ns >= learn->low.ns))
        return false;
    /* Longer ones have been let in by outlived(). */
    learn->low = low;
    learn->misfits = 0;
    learn->idle_confirmed = now;
    return true;
}

static void add_close(struct learn *learn, struct weir_time now, struct weir_span age)
{
    bool confirmed = confirms(learn, now, age);
    if (confirmed && is_firm(learn))
        return;
    bool joined = joins_newest(learn, now, age);
    if (!joined)
        append(learn, now, age);
    if (believe_run(learn)) {
        if (is_firm(learn))
            learn->run_count = 0; /* from now on it is for those that do not fit */
        return;
    }
    if (!confirmed && !joined && ++learn->misfits >= MISFITS_MAX)
        forget(learn);
}

static void carried(struct learn *learn, uint64_t requests)
{
    if (requests > learn->end_requests)
        learn->end_count = 0;
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
}

/* A single request is what a restart, or an error, leaves a connection with: it must be the rule.
 */
static unsigned enough_ends(uint64_t requests)
{
    return requests == 1 ? SINGLE_ENDS_MIN : AGREEING_MIN;
}

void learn_closed_after(struct learn *learn, struct weir_time now, uint64_t requests)
{
    carried(learn, requests);
    if (learn->end_count == 0 || requests != learn->end_requests) {
        learn->end_requests = requests;
        learn->end_count = 0;
    }
    unsigned enough = enough_ends(requests);
    if (learn->end_count < enough)
        learn->end_count++;
    if (learn->end_count == enough)
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
}

struct weir_span learn_news_rest(const struct learn *learn)
{
    struct weir_span rest = learn->high;
    for (unsigned i = 0; i < learn->run_count; i++)
        rest.ns = min_ns(rest.ns, learn->run[i].reach.ns);
    return rest;
}

uint64_t learn_news_requests(const struct learn *learn)
{
    /* A connection that ended after more than the limit has disproved the limit. */
    if (learn->end_count > 0)
        return learn->end_requests;
    return learn->max_requests > 0 ? learn->max_requests : UINT64_MAX;
}

/* Long enough to disprove it, however many closes agreed. */
static struct weir_span probe_age(const struct learn *learn)
{
    return weir_span_ns(learn->low.ns / 3 * 5 + weir_span_s(1).ns);
}

static bool knows_idle_timeout(const struct learn *learn, struct weir_time now)
{
    if (!believes(learn))
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
