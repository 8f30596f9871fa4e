/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include "tests/check.h"
#include "tests/unit/base/aborts.h"

static void fail_at_must(void)
{
    must(1 + 1 == 3);
}

static void keep_must(void)
{
    must(1 + 1 == 2);
}

TEST(must_aborts_when_it_does_not_hold)
{
    CHECK(aborts(fail_at_must));
    CHECK(!aborts(keep_must));
}

static int report_end;

static void report_seven(void)
{
    ssize_t written = write(report_end, "7", 1);
    (void)written;
    must(false); /* a reporter that fails is not called again */
}

static void fail_with_reporter(void)
{
    check_set_reporter(report_seven);
    fail_at_must();
}

TEST(the_reporter_is_called_once)
{
    int ends[2];
    char told[8];
    CHECK(pipe(ends) == 0);
    report_end = ends[1];
    CHECK(aborts(fail_with_reporter));
    close(ends[1]);
    CHECK_EQ(1, read(ends[0], told, sizeof told));
    CHECK_EQ('7', told[0]);
    close(ends[0]);
}

static enum weir_err give(enum weir_err err)
{
    return err;
}

static enum weir_err try_both(enum weir_err first, enum weir_err second, int *ret_reached)
{
    TRY(give(first));
    *ret_reached = 1;
    TRY(give(second));
    *ret_reached = 2;
    return WEIR_OK;
}

TEST(try_returns_the_first_error)
{
    int reached = 0;
    CHECK_ERR(WEIR_E_EOF, try_both(WEIR_E_EOF, WEIR_E_RESET, &reached));
    CHECK_EQ(0, reached);
    CHECK_ERR(WEIR_E_RESET, try_both(WEIR_OK, WEIR_E_RESET, &reached));
    CHECK_EQ(1, reached);
    CHECK_OK(try_both(WEIR_OK, WEIR_OK, &reached));
    CHECK_EQ(2, reached);
}

static void add_one(int **count)
{
    ++**count;
}

static void leave_early(int *count, bool early)
{
    AUTO(add_one) int *counted = count;
    if (early)
        return;
    *counted += 10;
}

TEST(auto_runs_on_every_way_out)
{
    int count = 0;
    leave_early(&count, true);
    CHECK_EQ(1, count);
    leave_early(&count, false);
    CHECK_EQ(12, count);
}

struct outer {
    char before[5];
    int inner;
};

TEST(container_of_goes_from_member_to_whole)
{
    struct outer outer = {.inner = 3};
    int *inner = &outer.inner;
    CHECK(container_of(inner, struct outer, inner) == &outer);
    int numbers[] = {1, 2, 3};
    CHECK_EQ(3, COUNT_OF(numbers));
}

CHECK_MAIN
