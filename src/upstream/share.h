/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_SHARE_H
#define UPSTREAM_SHARE_H

/*
 * One dial for many. Where HTTP/2 may be spoken, who finds no connection looks whether one is on
 * its way that will have streams left: one that another ask dials (it leads), one whose server has
 * not told its SETTINGS yet, or one that is asked for a sign of life. Then he waits for what
 * becomes of it (he follows). When that is settled he has a stream, or goes on by himself.
 */

#include <weir/err.h>

#include <stdbool.h>

struct ask;
struct conn;
struct pool_key;

/* True: it follows. False: it has to go on by itself. */
bool share_follow(struct ask *ask);

/* It dials, and leads if others may share with it. Who stands in a queue leads nobody. */
void share_lead(struct ask *ask);

/*
 * A leader has what it wanted, or has failed; `err`: the failure of its dial, which is that of
 * those who have waited for it.
 */
void share_lead_ends(struct ask *ask, enum weir_err err);

/* What becomes of the connection is waited for by who asks under that key. */
void share_hope(struct conn *conn, struct pool_key *key);
/* It is settled: serves who waits; who gets nothing goes on. Nothing if nobody waits for it. */
void share_hope_ends(struct conn *conn);

#endif
