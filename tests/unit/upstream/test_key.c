/* SPDX-License-Identifier: MIT */
#include "upstream/key.h"

#include "base/check.h"
#include "base/slice.h"
#include "upstream/peer.h"

#include "tests/check.h"

static struct addr addr_of(const char *text)
{
    struct addr addr = {0};
    CHECK_OK(addr_parse(slice_str(text), &addr));
    return addr;
}

static struct addr ip_of(const char *text)
{
    struct addr addr = {0};
    CHECK_OK(addr_parse_ip(slice_str(text), &addr));
    return addr;
}

/* Options in which all bytes that no field covers are `fill`. */
static void fill_options(struct peer_options *options, int fill, const char *addr)
{
    struct peer_options plain;
    peer_options_init(&plain);
    memset(options, fill, sizeof *options);
    options->upstream = "web";
    options->upstream_number = 0;
    options->addr = addr_of(addr);
    options->source.len = 0;
    options->protocol = plain.protocol;
    options->transport = (struct custom_transport){NULL, NULL};
    options->tls = NULL;
    options->tls_name = NULL;
    options->proxy = NULL;
    options->preface = PREFACE_NONE;
    options->preface_source.len = options->preface_destination.len = 0;
    options->preface_client = 0;
    options->group_key = 0;
    options->limits = plain.limits;
    options->tcp = plain.tcp;
}

enum { MUTANTS = 64 };

/* All that is TLS, each time with another field changed. */
static unsigned tls_mutants(struct peer_options *all, unsigned count)
{
    static struct tls_client clients[12];
    unsigned made = 0;
    for (unsigned i = 0; i < COUNT_OF(clients); i++)
        tls_client_options_init(&clients[i].options);
    made++; /* the first is as it is */
    clients[made++].options.verify_cert = false;
    clients[made++].options.verify_hostname = false;
    clients[made++].options.alternative_cn = "other.example.com";
    clients[made++].options.alternative_cn = "";
    clients[made++].trust.bytes[31] = 1;
    clients[made++].identity.bytes[0] = 1;
    clients[made++].options.policy.min_version = TLS_VERSION_1_3;
    clients[made++].options.policy.max_version = TLS_VERSION_1_2;
    clients[made++].options.policy.ciphers = "ECDHE+AESGCM";
    clients[made++].options.policy.ciphersuites = "ECDHE+AESGCM";
    clients[made++].options.policy.groups = "ECDHE+AESGCM";
    for (unsigned i = 0; i < made; i++)
        all[count++].tls = &clients[i];
    all[count].tls_name = "a.example.com";
    all[count++].tls = &clients[0];
    all[count].tls_name = "b.example.com";
    all[count++].tls = &clients[0];
    return count;
}

/* And what is on the way. */
static unsigned way_mutants(struct peer_options *all, unsigned count)
{
    static const struct peer_proxy_field ab = {"a", "b"}, ac = {"a", "c"}, abc = {"ab", "c"};
    static struct peer_proxy proxies[5];
    proxies[0].addr = proxies[2].addr = addr_of("10.0.0.9:3128");
    proxies[3].addr = proxies[4].addr = proxies[0].addr;
    proxies[1].addr = addr_of("unix:/run/proxy.sock");
    proxies[2].fields = &ab;
    proxies[3].fields = &ac;
    proxies[4].fields = &abc;
    proxies[2].field_count = proxies[3].field_count = proxies[4].field_count = 1;
    for (unsigned i = 0; i < COUNT_OF(proxies); i++)
        all[count++].proxy = &proxies[i];
    must(addr_of_name(SLICE("10.1.2.3"), 8080, &all[count++].addr) == WEIR_OK);
    all[count++].preface = PREFACE_V1;
    all[count++].preface = PREFACE_V2;
    all[count].preface_source = addr_of("192.0.2.1:1000");
    all[count++].preface = PREFACE_V2;
    all[count].preface_source = addr_of("192.0.2.1:1001");
    all[count++].preface = PREFACE_V2;
    all[count].preface_destination = addr_of("192.0.2.1:1000");
    all[count++].preface = PREFACE_V2;
    all[count].preface_client = 1;
    all[count++].preface = PREFACE_V2;
    return count;
}

/* What a transport opens, which is in no addr. */
static unsigned transport_mutants(struct peer_options *all, unsigned count)
{
    static const struct weir_byte_transport exec = {.name = "exec"}, exe = {.name = "exe"};
    static const struct weir_session_transport sessions = {.name = "sessions"};
    static char addresses[2][4000];
    for (unsigned i = 0; i < COUNT_OF(addresses); i++) {
        memset(addresses[i], 'x', sizeof addresses[i] - 1);
        addresses[i][sizeof addresses[i] - 2] = (char)('0' + i);
        all[count].transport_address = addresses[i];
        all[count++].transport.bytes = &exec;
    }
    all[count].transport_address = "";
    all[count++].transport.bytes = &exec;
    all[count].transport_address = "cat";
    all[count++].transport.bytes = &exec;
    all[count].transport_address = "cat";
    all[count++].transport.bytes = &exe;
    all[count].transport_address = "ccat";
    all[count++].transport.bytes = &exe;
    all[count].transport_address = "cat";
    all[count++].transport.sessions = &sessions;
    return count;
}

/* The same peer but for one field that makes two connections different, each time another. */
static unsigned mutants(struct peer_options all[static MUTANTS])
{
    unsigned count = 0;
    for (unsigned i = 0; i < MUTANTS; i++)
        fill_options(&all[i], 0, "10.1.2.3:8080");
    count++; /* the first is as it is */
    all[count++].addr = addr_of("10.1.2.4:8080");
    all[count++].addr = addr_of("10.1.2.3:8081");
    all[count++].addr = addr_of("[::ffff:10.1.2.3]:8080");
    all[count++].addr = addr_of("[fe80::1]:8080");
    all[count++].addr = addr_of("[fe80::2]:8080");
    all[count] = all[count - 1];
    all[count++].addr.v6.sin6_scope_id = 2;
    all[count++].addr = addr_of("unix:/run/a.sock");
    all[count++].addr = addr_of("unix:/run/b.sock");
    all[count++].addr = addr_of("unix:/run/a.soc");
    all[count++].source = ip_of("127.0.0.1");
    all[count++].source = ip_of("127.0.0.2");
    all[count++].source = ip_of("::1");
    all[count++].protocol = (enum peer_protocol)1;
    all[count++].group_key = 1;
    all[count++].group_key = UINT64_C(1) << 63;
    all[count++].tcp.fast_open = true;
    all[count++].tcp.dscp = 1;
    all[count++].tcp.receive_buffer = 4096;
    count = tls_mutants(all, count);
    count = way_mutants(all, count);
    count = transport_mutants(all, count);
    must(count <= MUTANTS);
    return count;
}

static void check_all_differ(void)
{
    static struct peer_options all[MUTANTS];
    static struct key keys[MUTANTS], again[MUTANTS];
    unsigned count = mutants(all);
    for (unsigned i = 0; i < count; i++) {
        key_make(&all[i], &keys[i]);
        key_make(&all[i], &again[i]);
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < count; j++)
            if (!CHECK_EQ(i == j, key_equal(&keys[i], &again[j])))
                printf("# mutants %u and %u\n", i, j);
}

TEST(one_field_of_the_key_changed_is_another_key)
{
    check_all_differ();
}

TEST(equal_hashes_do_not_make_equal_keys)
{
    key_force_collisions(true);
    check_all_differ();
    struct peer_options options;
    struct key key;
    fill_options(&options, 0, "10.1.2.3:8080");
    key_make(&options, &key);
    CHECK_EQ(0, key.hash);
    key_force_collisions(false);
    key_make(&options, &key);
    CHECK(key.hash != 0);
}

/* Neither padding nor what a shorter address leaves of a longer one takes part. */
TEST(bytes_that_no_field_covers_take_no_part)
{
    static const char *const addrs[] = {"10.1.2.3:8080", "[::1]:8080", "unix:/run/a.sock"};
    for (size_t i = 0; i < COUNT_OF(addrs); i++) {
        struct peer_options zeros, ones;
        struct key a, b;
        fill_options(&zeros, 0, addrs[i]);
        fill_options(&ones, 0xff, addrs[i]);
        memset((char *)&ones.addr.any + ones.addr.len, 0x5a,
               sizeof ones.addr - offsetof(struct addr, any) - ones.addr.len);
        if (ones.addr.any.sa_family == AF_INET)
            memset(ones.addr.v4.sin_zero, 0x5a, sizeof ones.addr.v4.sin_zero);
        if (ones.addr.any.sa_family == AF_INET6)
            ones.addr.v6.sin6_flowinfo = 0x5a5a;
        key_make(&zeros, &a);
        key_make(&ones, &b);
        CHECK(key_equal(&a, &b));
    }
}

/* What bounds or names an exchange does not separate connections. */
TEST(timeouts_limits_and_names_take_no_part)
{
    struct peer_options options;
    struct key key, other;
    fill_options(&options, 0, "10.1.2.3:8080");
    key_make(&options, &key);
    options.upstream = "another";
    options.upstream_number = 7;
    options.limits.connection_timeout = weir_span_ms(1);
    options.limits.total_connection_timeout = weir_span_ms(2);
    options.limits.read_timeout = weir_span_ms(3);
    options.limits.write_timeout = weir_span_ms(4);
    options.limits.idle_timeout = weir_span_ms(5);
    options.limits.max_connection_age = weir_span_ms(6);
    options.limits.max_requests_per_connection = 7;
    key_make(&options, &other);
    CHECK(key_equal(&key, &other));
}

/* Fields are told apart by their lengths: moving bytes from one to the next makes another key. */
TEST(source_and_address_do_not_run_into_each_other)
{
    struct peer_options a, b;
    struct key key_a, key_b;
    fill_options(&a, 0, "unix:/a");
    fill_options(&b, 0, "unix:/a");
    a.addr = addr_of("unix:/ab");
    a.source = addr_of("unix:/c");
    b.addr = addr_of("unix:/a");
    b.source = addr_of("unix:/bc");
    key_make(&a, &key_a);
    key_make(&b, &key_b);
    CHECK(!key_equal(&key_a, &key_b));
}

TEST(the_longest_addresses_fit)
{
    struct peer_options options;
    struct key key;
    fill_options(&options, 0, "unix:/a");
    options.addr.len = options.source.len = sizeof options.addr.local;
    memset(options.addr.local.sun_path, 'p', sizeof options.addr.local.sun_path);
    options.source = options.addr;
    key_make(&options, &key);
    CHECK(key.len <= KEY_BYTES_MAX);
}

/* A client chooses how long a part of it is. */
TEST(the_longest_key_has_room)
{
    static const struct tls_client client;
    static const struct peer_proxy proxy;
    struct peer_options options;
    struct key key, other;
    char host[108];
    fill_options(&options, 0, "[::1]:65535");
    memset(host, 'h', sizeof host);
    must(addr_of_name(slice_of(host, 101), 65535, &options.addr) == WEIR_OK);
    options.source = ip_of("2001:db8::1");
    options.tls = &client;
    options.proxy = &proxy;
    options.preface = PREFACE_V2;
    options.preface_client = UINT64_MAX;
    struct addr *ends[] = {&options.preface_source, &options.preface_destination};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        memset(ends[i], 'x', sizeof *ends[i]);
        ends[i]->local.sun_family = AF_UNIX;
        ends[i]->len =
            sizeof ends[i]->local + 1; /* as the kernel tells it of a path without room */
    }
    key_make(&options, &key);
    options.preface_source.local.sun_path[107] = 'y';
    key_make(&options, &other);
    CHECK(!key_equal(&key, &other));
}

/* Names in the abstract begin with a NUL. */
TEST(clients_with_abstract_names_differ)
{
    struct peer_options options;
    struct key alice, bob;
    fill_options(&options, 0, "10.1.2.3:8080");
    options.preface = PREFACE_V2;
    options.preface_source = addr_of("unix:/alice");
    options.preface_source.local.sun_path[0] = '\0';
    key_make(&options, &alice);
    memcpy(options.preface_source.local.sun_path + 1, "bobby", 5);
    key_make(&options, &bob);
    CHECK(!key_equal(&alice, &bob));
}

CHECK_MAIN
