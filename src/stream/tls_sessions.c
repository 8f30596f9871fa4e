/* SPDX-License-Identifier: MIT */
#include "stream/tls_sessions.h"

#include "base/check.h"
#include "base/clock.h"

#include <openssl/ssl.h>
#include <string.h>

void tls_sessions_init(struct tls_sessions *sessions)
{
    sessions->count = 0;
    must(pthread_mutex_init(&sessions->lock, NULL) == 0);
}

void tls_sessions_clear(struct tls_sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    while (sessions->count > 0)
        SSL_SESSION_free(sessions->kept[--sessions->count]);
    pthread_mutex_unlock(&sessions->lock);
}

void tls_sessions_fini(struct tls_sessions *sessions)
{
    tls_sessions_clear(sessions);
    pthread_mutex_destroy(&sessions->lock);
}

void tls_sessions_put(struct tls_sessions *sessions, struct ssl_session_st *session)
{
    SSL_SESSION *oldest = NULL;
    pthread_mutex_lock(&sessions->lock);
    if (sessions->count == TLS_SESSIONS_MAX) {
        oldest = sessions->kept[0];
        sessions->count--;
        memmove(&sessions->kept[0], &sessions->kept[1], sessions->count * sizeof sessions->kept[0]);
    }
    sessions->kept[sessions->count++] = session;
    pthread_mutex_unlock(&sessions->lock);
    SSL_SESSION_free(oldest);
}

static bool is_usable(const SSL_SESSION *session)
{
    long age_s = (long)(clock_wall_ms() / 1000) - SSL_SESSION_get_time(session);
    return SSL_SESSION_is_resumable(session) && age_s < SSL_SESSION_get_timeout(session);
}

/* Not the same: OpenSSL marks a session of TLS 1.3 as used up when its handshake is over. */
static void keep_copy(struct tls_sessions *sessions, const SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy)
        sessions->kept[sessions->count++] = copy;
}

struct ssl_session_st *tls_sessions_take(struct tls_sessions *sessions)
{
    SSL_SESSION *taken = NULL;
    pthread_mutex_lock(&sessions->lock);
    while (!taken && sessions->count > 0) {
        taken = sessions->kept[--sessions->count];
        if (!is_usable(taken)) {
            SSL_SESSION_free(taken);
            taken = NULL;
        } else if (sessions->count == 0) {
            keep_copy(sessions, taken);
        }
    }
    pthread_mutex_unlock(&sessions->lock);
    return taken;
}
