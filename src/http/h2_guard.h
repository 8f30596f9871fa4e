/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H2_GUARD_H
#define HTTP_H2_GUARD_H

/*
 * How much a peer of HTTP/2 may send that is legal, and in such numbers an attack: a bucket for
 * each kind of flood (h2_flood.def), filled up by time or by useful work. Pure.
 */

#include <weir/time.h>

#include <stdbool.h>
#include <stdint.h>

enum h2_flood {
#define X(NAME, name, burst, per_second, text) H2_FLOOD_##NAME,
#include "http/h2_flood.def"
#undef X
    H2_FLOOD_COUNT
};

const char *h2_flood_name(enum h2_flood flood);

struct h2_guard {
    uint32_t left[H2_FLOOD_COUNT];
    struct weir_time filled; /* when by time last */
};

void h2_guard_init(struct h2_guard *guard, struct weir_time now);

/* One more of it has come. False: that is too many, and the connection must end. */
bool h2_guard_count(struct h2_guard *guard, enum h2_flood flood, struct weir_time now);

/* So many more are allowed, up to the burst, because something useful was done. */
void h2_guard_earn(struct h2_guard *guard, enum h2_flood flood, uint32_t count);

#endif
