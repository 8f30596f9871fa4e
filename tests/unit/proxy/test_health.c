/* SPDX-License-Identifier: MIT */
#include "proxy/health.h"

#include "tests/check.h"

/* What a run of checks makes of it: after each '+' or '-', W for well or U for unwell. */
static void check_run(unsigned rise, unsigned fall, const char *checks, const char *want)
{
    struct health_options options = {.rise = rise, .fall = fall};
    struct health health = {};
    char got[64] = "";
    for (size_t i = 0; checks[i]; i++) {
        bool before = health.unwell;
        bool changed = health_note(&health, &options, checks[i] == '+');
        CHECK_EQ(changed, before != health.unwell);
        got[i] = health.unwell ? 'U' : 'W';
    }
    CHECK(!strcmp(want, got) || !printf("# %s: %s, not %s\n", checks, got, want));
}

TEST(so_many_in_a_row_change_it)
{
    check_run(2, 3, "---", "WWU");
    check_run(2, 3, "--+--+---", "WWWWWWWWU");
    check_run(2, 3, "---++", "WWUUW");
    check_run(2, 3, "---+-++", "WWUUUUW");
    check_run(2, 3, "---------++--", "WWUUUUUUUUWWW");
    check_run(1, 1, "+-+-", "WUWU");
    check_run(1, 3, "---+--", "WWUWWW");
    check_run(3, 1, "-++-+++", "UUUUUUW");
}

TEST(statuses)
{
    static const unsigned good[] = {200, 204, 299, 301, 304, 399};
    static const unsigned bad[] = {0, 101, 199, 400, 404, 500, 503, 999};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(health_passes(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!health_passes(bad[i]));
}

CHECK_MAIN
