/* SPDX-License-Identifier: MIT */
#include "config/report.h"

#include "base/slice.h"
#include "tests/check.h"

static struct memory *memory;
static struct report report;

static struct position at(unsigned line, unsigned column)
{
    return (struct position){"f", line, column};
}

static void check_written(const char *want)
{
    struct buf messages;
    buf_init(&messages);
    report_write(&report, &messages);
    CHECK_SLICE(buf_slice(&messages), want);
    buf_fini(&messages);
}

static void begin(void)
{
    memory = memory_new();
    report_init(&report, memory);
}

TEST(nothing_is_said_of_what_is_good)
{
    begin();
    check_written("");
    CHECK_EQ(0, report.error_count);
    memory_free(&memory);
}

TEST(messages_come_in_the_order_of_the_file)
{
    begin();
    report_error(&report, at(7, 1), "g");
    report_error(&report, at(2, 9), "c");
    report_warning(&report, at(2, 3), "b");
    report_error(&report, at(10, 1), "h");
    report_error(&report, at(2, 9), "d");
    report_error(&report, (struct position){"f", 0, 0}, "a");
    check_written("f: error: a\n"
                  "f:2:3: warning: b\n"
                  "f:2:9: error: c\n"
                  "f:2:9: error: d\n"
                  "f:7:1: error: g\n"
                  "f:10:1: error: h\n");
    CHECK_EQ(5, report.error_count);
    memory_free(&memory);
}

TEST(nothing_is_said_twice)
{
    begin();
    report_error(&report, at(1, 1), "%s", "one");
    report_error(&report, at(1, 1), "two");
    report_error(&report, at(1, 1), "%s", "one");
    report_error(&report, at(1, 2), "one");
    check_written("f:1:1: error: one\n"
                  "f:1:1: error: two\n"
                  "f:1:2: error: one\n");
    CHECK_EQ(3, report.error_count);
    memory_free(&memory);
}

TEST(there_is_an_end_to_it)
{
    struct buf messages;
    struct weir_slice end = SLICE("f:999:1: error: an error is told after many warnings\n"
                                  "f: warning: 50 more of these are left out\n");
    begin();
    for (unsigned i = 1; i <= 150; i++)
        report_warning(&report, at(i, 1), "doubtful");
    report_error(&report, at(999, 1), "an error is told after many warnings");
    CHECK_EQ(1, report.error_count);
    buf_init(&messages);
    report_write(&report, &messages);
    if (CHECK(messages.len > end.len))
        CHECK(slice_equal(slice_skip(buf_slice(&messages), messages.len - end.len), end));
    buf_fini(&messages);
    memory_free(&memory);
}

TEST(errors_have_an_end_as_well)
{
    struct buf messages;
    struct weir_slice end =
        SLICE("f:100:1: error: wrong\nf: error: 23 more of these are left out\n");
    begin();
    for (unsigned i = 1; i <= 123; i++)
        report_error(&report, at(i, 1), "wrong");
    CHECK_EQ(123, report.error_count);
    buf_init(&messages);
    report_write(&report, &messages);
    if (CHECK(messages.len > end.len))
        CHECK(slice_equal(slice_skip(buf_slice(&messages), messages.len - end.len), end));
    buf_fini(&messages);
    memory_free(&memory);
}

TEST(long_texts_are_cut)
{
    char text[2000];
    memset(text, 'x', sizeof text);
    begin();
    report_error(&report, at(1, 1), "%.*s", (int)sizeof text, text);
    struct buf messages;
    buf_init(&messages);
    report_write(&report, &messages);
    CHECK(messages.len > 500 && messages.len < 1000);
    buf_fini(&messages);
    memory_free(&memory);
}

CHECK_MAIN
