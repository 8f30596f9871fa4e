/* SPDX-License-Identifier: MIT */
#include "proxy/roster.h"

#include "base/check.h"
#include "base/slice.h"
#include "proxy/options.h"
#include "tests/check.h"

enum { ADDRS_MAX = 8 };

static unsigned read_addrs(const char *text, struct addr *ret_addrs)
{
    unsigned count = 0;
    struct weir_slice rest = slice_str(text);
    while (rest.len > 0) {
        size_t len = slice_find(rest, ' ');
        CHECK_OK(addr_parse_ip(slice_of(rest.at, len), &ret_addrs[count++]));
        rest = slice_skip(rest, len < rest.len ? len + 1 : len);
    }
    return count;
}

static void check_order(const char *answered, const char *want)
{
    struct addr addrs[ADDRS_MAX];
    char got[ADDRS_MAX * 16] = "", one[ADDR_TEXT_SIZE];
    size_t len = 0;
    unsigned count = read_addrs(answered, addrs);
    struct roster *roster = roster_new(count);
    must(roster);
    roster_add(roster, 7, addrs, count);
    CHECK_EQ(count, roster->count);
    for (unsigned i = 0; i < roster->count; i++) {
        CHECK_EQ(7, roster->entries[i].server);
        CHECK(!roster->entries[i].unwell);
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%s", i ? " " : "",
                                addr_print_ip(&roster->entries[i].addr, one));
    }
    CHECK(!strcmp(want, got) || !printf("# %s, not %s\n", got, want));
    roster_unref(&roster);
    CHECK(!roster);
}

TEST(families_take_turns)
{
    check_order("", "");
    check_order("10.0.0.1", "10.0.0.1");
    check_order("10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.1 10.0.0.2 10.0.0.3");
    check_order("::1 ::2 10.0.0.1 10.0.0.2", "::1 10.0.0.1 ::2 10.0.0.2");
    check_order("10.0.0.1 ::1 ::2 ::3", "10.0.0.1 ::1 ::2 ::3");
    check_order("::1 ::2 ::3 10.0.0.1", "::1 10.0.0.1 ::2 ::3");
}

TEST(what_was_written_down)
{
    struct server_options servers[] = {{.text = "a"}, {.text = "b", .host = "b"}, {.text = "c"}};
    struct upstream_options options = {.servers = servers, .server_count = 1};
    CHECK_OK(addr_parse(SLICE("10.0.0.1:80"), &servers[0].addr));
    CHECK_OK(addr_parse(SLICE("unix:/c"), &servers[2].addr));
    struct roster *roster = roster_of_options(&options);
    must(roster);
    CHECK(!roster->pending && roster->count == 1);
    roster_unref(&roster);
    options.server_count = 3;
    roster = roster_of_options(&options);
    must(roster);
    CHECK(roster->pending);
    CHECK_EQ(2, roster->count);
    CHECK_EQ(2, roster->entries[1].server);
    CHECK(addr_equal(&servers[2].addr, &roster->entries[1].addr));
    roster_unref(&roster);
}

TEST(it_lasts_as_long_as_somebody_refers_to_it)
{
    struct roster *roster = roster_new(0);
    must(roster);
    struct roster *other = roster_ref(roster);
    roster_unref(&roster);
    CHECK(!roster);
    CHECK_EQ(0, other->count); /* a sanitizer would see it if it were gone */
    roster_unref(&other);
    roster_unref(&other);
}

CHECK_MAIN
