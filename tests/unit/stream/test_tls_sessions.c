/* SPDX-License-Identifier: MIT */
#include "stream/tls_sessions.h"

#include "base/clock.h"
#include "tests/check.h"

#include <openssl/ssl.h>

/* One that may be resumed, made `age_s` ago and good for `timeout_s`. */
static SSL_SESSION *session_of(unsigned char number, long age_s, long timeout_s)
{
    SSL_SESSION *session = SSL_SESSION_new();
    unsigned char secret[32] = {number};
    CHECK(session && SSL_SESSION_set1_master_key(session, secret, sizeof secret) == 1 &&
          SSL_SESSION_set1_id(session, &number, 1) == 1 &&
          SSL_SESSION_set_protocol_version(session, TLS1_2_VERSION) == 1);
    SSL_SESSION_set_time(session, (long)(clock_wall_ms() / 1000) - age_s);
    SSL_SESSION_set_timeout(session, timeout_s);
    return session;
}

static void put(struct tls_sessions *sessions, unsigned char number)
{
    tls_sessions_put(sessions, session_of(number, 0, 300));
}

/* The number of the one that is given; 0: none. */
static unsigned take(struct tls_sessions *sessions)
{
    unsigned len = 0, number = 0;
    SSL_SESSION *session = tls_sessions_take(sessions);
    if (session)
        number = *SSL_SESSION_get_id(session, &len);
    SSL_SESSION_free(session);
    return number;
}

TEST(none_is_none)
{
    struct tls_sessions sessions;
    tls_sessions_init(&sessions);
    CHECK_EQ(0, take(&sessions));
    tls_sessions_fini(&sessions);
}

TEST(the_newest_comes_first_and_the_last_one_stays)
{
    struct tls_sessions sessions;
    tls_sessions_init(&sessions);
    for (unsigned char i = 1; i <= 3; i++)
        put(&sessions, i);
    CHECK_EQ(3, take(&sessions));
    CHECK_EQ(2, take(&sessions));
    CHECK_EQ(1, take(&sessions));
    CHECK_EQ(1, take(&sessions));
    CHECK_EQ(1, sessions.count);
    put(&sessions, 4);
    CHECK_EQ(4, take(&sessions));
    CHECK_EQ(1, take(&sessions));
    tls_sessions_fini(&sessions);
}

TEST(where_there_are_enough_the_oldest_goes)
{
    struct tls_sessions sessions;
    tls_sessions_init(&sessions);
    for (unsigned char i = 1; i <= TLS_SESSIONS_MAX + 3; i++)
        put(&sessions, i);
    CHECK_EQ(TLS_SESSIONS_MAX, sessions.count);
    for (unsigned i = TLS_SESSIONS_MAX + 3; i > 3; i--)
        CHECK_EQ(i, take(&sessions));
    CHECK_EQ(4, take(&sessions));
    tls_sessions_fini(&sessions);
}

TEST(one_that_is_too_old_is_not_given)
{
    struct tls_sessions sessions;
    tls_sessions_init(&sessions);
    put(&sessions, 1);
    tls_sessions_put(&sessions, session_of(2, 301, 300));
    tls_sessions_put(&sessions, session_of(3, 10, 5));
    CHECK_EQ(1, take(&sessions));
    CHECK_EQ(1, sessions.count);
    tls_sessions_fini(&sessions);
    tls_sessions_init(&sessions);
    tls_sessions_put(&sessions, session_of(1, 299, 300));
    CHECK_EQ(1, take(&sessions));
    tls_sessions_put(&sessions, session_of(2, 300, 300));
    CHECK_EQ(1, take(&sessions));
    tls_sessions_fini(&sessions);
}

/* OpenSSL does so with a session of TLS 1.3 after its handshake. */
TEST(using_the_last_one_up_does_not_spoil_it)
{
    struct tls_sessions sessions;
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    tls_sessions_init(&sessions);
    put(&sessions, 1);
    for (int i = 0; i < 3; i++) {
        SSL_SESSION *session = tls_sessions_take(&sessions);
        if (!CHECK(session))
            break;
        (void)SSL_CTX_remove_session(made, session);
        CHECK(!SSL_SESSION_is_resumable(session));
        SSL_SESSION_free(session);
    }
    CHECK_EQ(1, take(&sessions));
    tls_sessions_fini(&sessions);
    SSL_CTX_free(made);
}

/* The last one stays only as long as it is good. */
TEST(the_last_one_goes_when_it_is_too_old)
{
    struct tls_sessions sessions;
    tls_sessions_init(&sessions);
    tls_sessions_put(&sessions, session_of(1, 10, 5));
    CHECK_EQ(0, take(&sessions));
    CHECK_EQ(0, sessions.count);
    tls_sessions_fini(&sessions);
}

TEST(one_that_cannot_be_resumed_is_not_given)
{
    struct tls_sessions sessions;
    tls_sessions_init(&sessions);
    SSL_SESSION *nameless = SSL_SESSION_new();
    SSL_SESSION_set_timeout(nameless, 300);
    tls_sessions_put(&sessions, nameless);
    CHECK_EQ(0, take(&sessions));
    tls_sessions_fini(&sessions);
}

CHECK_MAIN
