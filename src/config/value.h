/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

/* How single values are written. False when the text is not one; numbers never wrap. */

#include <weir/slice.h>
#include <weir/time.h>

#include <stdbool.h>
#include <stdint.h>

/* "0", or digits and one of ms, s, m, h, d: "500ms". */
bool value_span(struct weir_slice text, struct weir_span *ret_span);

/* Bytes: digits, and optionally one of B, KiB, MiB, GiB: "64KiB". */
bool value_size(struct weir_slice text, uint64_t *ret_bytes);

/* Digits and a percent sign: "20%". */
bool value_percent(struct weir_slice text, uint64_t *ret_percent);

/* "true" or "false". */
bool value_bool(struct weir_slice text, bool *ret_bool);

/* Letters, digits, '-', '_' and '.', 1 to 64 of them: what may name a service or an upstream. */
bool value_is_name(struct weir_slice text);

/*
 * What a route's host may be: a name or an address without a port, or "*." and a name. `ret_host`
 * has room for text.len bytes and gets it in lower case.
 */
bool value_host(struct weir_slice text, char *ret_host);

#endif
