/* SPDX-License-Identifier: MIT */
#include "client/transports.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"

#include <stdio.h>

static enum weir_err open_one(const struct weir_transport_to *to, void **ret_conn)
{
    (void)to;
    (void)ret_conn;
    return WEIR_E_REFUSED;
}

static enum weir_err read_one(void *conn, char *bytes, size_t size, size_t *ret_count)
{
    (void)conn;
    (void)bytes;
    (void)size;
    (void)ret_count;
    return WEIR_E_EOF;
}

static enum weir_err write_one(void *conn, const struct weir_slice *slices, unsigned count,
                               size_t *ret_count)
{
    (void)conn;
    (void)slices;
    (void)count;
    (void)ret_count;
    return WEIR_E_RESET;
}

static void close_one(void *conn, bool cut)
{
    (void)conn;
    (void)cut;
}

static struct weir_byte_transport named(const char *name)
{
    return (struct weir_byte_transport){
        .name = name, .open = open_one, .read = read_one, .write = write_one, .close = close_one};
}

TEST(exec_is_built_in)
{
    struct weir_slice address = SLICE("");
    struct custom_transport transport = transports_find(SLICE("exec:cat -u"), &address);
    CHECK(transport.bytes == &exec_transport && !transport.sessions);
    CHECK_SLICE(address, "cat -u");
    CHECK(!custom_is_any(&(struct custom_transport){NULL, NULL}));
}

TEST(a_name_is_found_as_it_is)
{
    static const char *const others[] = {"",       "exec",    "execs:a", "Exec:a",
                                         "e:a",    "xec:a",   ":exec",   "ex ec:a",
                                         "http:a", "unix:/a", "h2c://a", "https://a:1"};
    struct weir_slice address = SLICE("untouched");
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct custom_transport transport = transports_find(slice_str(others[i]), &address);
        CHECK(!custom_is_any(&transport));
    }
    CHECK_SLICE(address, "untouched");
    CHECK_SLICE(transports_name_in(SLICE("exe:c")), "exe");
    CHECK_SLICE(transports_name_in(SLICE("http:c")), "");
    CHECK_SLICE(transports_name_in(SLICE("10.0.0.1:80")), "");
}

TEST(what_is_no_transport_is_not_taken)
{
    static const char *const names[] = {"", "a", "A", "aB", "a-b", "a:", "exec", "http", "unix"};
    struct weir_byte_transport one = named("good");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        one.name = names[i];
        CHECK_ERR(WEIR_E_TRANSPORT, weir_transport_register(&one));
    }
    struct weir_byte_transport lacks[] = {named("good"), named("good"), named("good"),
                                          named("good")};
    lacks[0].open = NULL;
    lacks[1].read = NULL;
    lacks[2].write = NULL;
    lacks[3].close = NULL;
    for (size_t i = 0; i < COUNT_OF(lacks); i++)
        CHECK_ERR(WEIR_E_TRANSPORT, weir_transport_register(&lacks[i]));
    struct weir_session_transport sessions = {.name = "good", .open = open_one};
    CHECK_ERR(WEIR_E_TRANSPORT, weir_transport_register_sessions(&sessions));
}

TEST(what_is_registered_is_found_once)
{
    static struct weir_byte_transport first, second;
    struct weir_slice address;
    char names[TRANSPORTS_TEXT_SIZE];
    first = named("quic7");
    second = named("quic7");
    CHECK_OK(weir_transport_register(&first));
    CHECK_ERR(WEIR_E_TRANSPORT, weir_transport_register(&second));
    CHECK_ERR(WEIR_E_TRANSPORT, weir_transport_register(&first));
    CHECK(transports_find(SLICE("quic7:x:y"), &address).bytes == &first);
    CHECK_SLICE(address, "x:y");
    CHECK_SLICE(slice_str(transports_names(names)), "exec, quic7");
}

/* Nobody needs so many, and somebody registers them all the same. */
TEST(there_is_a_limit)
{
    static struct weir_byte_transport many[80];
    static char texts[80][32];
    char names[TRANSPORTS_TEXT_SIZE];
    unsigned taken = 0;
    for (unsigned i = 0; i < COUNT_OF(many); i++) {
        snprintf(texts[i], sizeof texts[i], "transport%u", i);
        many[i] = named(texts[i]);
        enum weir_err err = weir_transport_register(&many[i]);
        CHECK(err == (taken == i && i < 62 ? WEIR_OK : WEIR_E_TRANSPORT));
        taken += err == WEIR_OK;
    }
    CHECK(strlen(transports_names(names)) == sizeof names - 1);
}

CHECK_MAIN
