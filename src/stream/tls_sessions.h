/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_SESSIONS_H
#define STREAM_TLS_SESSIONS_H

/*
 * What servers gave to shorten the next handshake with them: TLS sessions of one key, shared by all
 * workers. A ticket of TLS 1.3 is used once as long as there are others (RFC 8446 appendix C.4);
 * the last one stays, because a second use is better than a full handshake.
 */

#include <pthread.h>

enum { TLS_SESSIONS_MAX = 8 };

struct ssl_session_st;

struct tls_sessions {
    pthread_mutex_t lock;
    unsigned count;
    struct ssl_session_st *kept[TLS_SESSIONS_MAX]; /* oldest first */
};

void tls_sessions_init(struct tls_sessions *sessions);
void tls_sessions_fini(struct tls_sessions *sessions);

/* Keeps one, whose reference it takes; the oldest goes where there are enough. */
void tls_sessions_put(struct tls_sessions *sessions, struct ssl_session_st *session);
/* Forgets all: a handshake with one of them has failed. */
void tls_sessions_clear(struct tls_sessions *sessions);
/* The newest one that may still be used, with a reference of the caller's; NULL. */
struct ssl_session_st *tls_sessions_take(struct tls_sessions *sessions);

#endif
