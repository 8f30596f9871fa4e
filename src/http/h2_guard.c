/* SPDX-License-Identifier: MIT */
#include "http/h2_guard.h"

#include "base/check.h"

struct allowance {
    const char *name;
    uint32_t burst, per_second;
};

static const struct allowance allowances[H2_FLOOD_COUNT] = {
#define X(NAME, name, burst, per_second, text) {name, burst, per_second},
#include "http/h2_flood.def"
#undef X
};

const char *h2_flood_name(enum h2_flood flood)
{
    must((unsigned)flood < H2_FLOOD_COUNT);
    return allowances[flood].name;
}

void h2_guard_init(struct h2_guard *guard, struct weir_time now)
{
    guard->filled = now;
    for (unsigned i = 0; i < H2_FLOOD_COUNT; i++)
        guard->left[i] = allowances[i].burst;
}

void h2_guard_earn(struct h2_guard *guard, enum h2_flood flood, uint32_t count)
{
    uint32_t room = allowances[flood].burst - guard->left[flood];
    guard->left[flood] += count < room ? count : room;
}

/* In whole seconds: what is left of one counts towards the next. */
static void fill(struct h2_guard *guard, struct weir_time now)
{
    int64_t seconds = weir_time_between(guard->filled, now).ns / 1000000000;
    if (seconds <= 0)
        return;
    guard->filled = weir_time_after(guard->filled, weir_span_s(seconds));
    uint32_t counted = seconds < 1000 ? (uint32_t)seconds : 1000; /* fills any bucket */
    for (unsigned i = 0; i < H2_FLOOD_COUNT; i++)
        h2_guard_earn(guard, (enum h2_flood)i, allowances[i].per_second * counted);
}

bool h2_guard_count(struct h2_guard *guard, enum h2_flood flood, struct weir_time now)
{
    fill(guard, now);
    if (guard->left[flood] == 0)
        return false;
    guard->left[flood]--;
    return true;
}
