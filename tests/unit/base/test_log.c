/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/clock.h"
#include "base/slice.h"
#include "tests/check.h"
#include <weir/log.h>

#include <unistd.h>

/* The log goes to a pipe, whose text is read back; it is never more than a pipe holds. */
static int log_ends[2];

static void catch_log(void)
{
    CHECK(pipe(log_ends) == 0);
    log_set_descriptor(log_ends[1]);
}

enum { CAUGHT_SIZE = 8192 };

static struct weir_slice caught(void)
{
    static char text[CAUGHT_SIZE];
    log_set_descriptor(STDERR_FILENO);
    close(log_ends[1]);
    size_t len = 0;
    for (ssize_t got; (got = read(log_ends[0], text + len, sizeof text - len)) > 0;)
        len += (size_t)got;
    close(log_ends[0]);
    return slice_of(text, len);
}

static size_t count_lines(struct weir_slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == '\n';
    return count;
}

TEST(a_line_has_time_level_and_text)
{
    catch_log();
    log_line(LOG_WARN, "%s is %d", "seven", 7);
    struct weir_slice line = caught();
    size_t time_len = CLOCK_RFC3339_SIZE - 1;
    CHECK_SLICE(slice_skip(line, time_len), " warn seven is 7\n");
    CHECK_EQ('T', line.at[10]);
    CHECK_EQ('Z', line.at[time_len - 1]);
}

TEST(less_urgent_lines_are_dropped)
{
    catch_log();
    log_line(LOG_DEBUG, "dropped");
    log_set_level(LOG_ERROR);
    log_line(LOG_WARN, "dropped");
    log_line(LOG_ERROR, "kept");
    log_set_level(LOG_DEBUG);
    log_line(LOG_DEBUG, "kept");
    log_set_level(LOG_NOTICE);
    CHECK_EQ(2, count_lines(caught()));
}

TEST(a_long_line_is_cut_and_still_a_line)
{
    static char large[5000];
    memset(large, 'x', sizeof large - 1);
    catch_log();
    log_line(LOG_ERROR, "%s", large);
    struct weir_slice line = caught();
    CHECK_EQ(1, count_lines(line));
    CHECK(line.len > 500 && line.len < 1000);
    CHECK_EQ('\n', line.at[line.len - 1]);
}

TEST(repeating_trouble_is_limited_and_counted)
{
    struct log_limit limit = {0};
    uint32_t swallowed;
    int passed;
    int64_t second;
    /* Again if a second began in the middle. */
    do {
        limit = (struct log_limit){0};
        passed = 0;
        second = clock_monotonic().ns / 1000000000;
        for (int i = 0; i < 15; i++)
            passed += log_limit_pass(&limit, &swallowed);
    } while (clock_monotonic().ns / 1000000000 != second);
    CHECK_EQ(10, passed);
    limit.second--;
    CHECK(log_limit_pass(&limit, &swallowed));
    CHECK_EQ(5, swallowed);
    limit.second--;
    CHECK(log_limit_pass(&limit, &swallowed));
    CHECK_EQ(0, swallowed);
}

TEST(the_limited_line_is_limited_per_place)
{
    catch_log();
    for (int i = 0; i < 200; i++)
        LOG_LIMITED(LOG_ERROR, "trouble %d", i);
    LOG_LIMITED(LOG_ERROR, "elsewhere");
    size_t count = count_lines(caught());
    CHECK(count >= 11 && count <= 21);
}

TEST(escaped_text_cannot_break_a_line)
{
    static const struct {
        struct weir_slice slice;
        const char *text;
    } rows[] = {
        {SLICE("plain text ~!"), "plain text ~!"},
        {SLICE(""), ""},
        {SLICE("a\r\nb\tc"), "a\\x0d\\x0ab\\x09c"},
        {SLICE("\x1b[2J"), "\\x1b[2J"},
        {SLICE("nul\0end"), "nul\\x00end"},
        {SLICE("\\ \" \x7f\xff"), "\\x5c \\x22 \\x7f\\xff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[LOG_ESCAPED_SIZE];
        CHECK(log_escape(rows[i].slice, text) == text);
        CHECK_SLICE(slice_str(text), rows[i].text);
    }
}

TEST(escaped_text_is_cut_where_it_must)
{
    char bytes[600], text[LOG_ESCAPED_SIZE];
    for (size_t len = 0; len <= sizeof bytes; len++) {
        memset(bytes, len % 2 ? 'x' : '\n', sizeof bytes);
        memset(text, '?', sizeof text);
        log_escape(slice_of(bytes, len), text);
        size_t escaped_len = strnlen(text, sizeof text);
        CHECK(escaped_len < sizeof text);
        size_t whole_len = len * (len % 2 ? 1 : 4);
        bool cut = escaped_len >= 3 && strcmp(text + escaped_len - 3, "...") == 0;
        CHECK(cut || escaped_len == whole_len);
        CHECK(!cut || whole_len > LOG_ESCAPED_SIZE - 8);
    }
}

static void take_line(void *owner, enum weir_log_level level, const char *line)
{
    snprintf(owner, CAUGHT_SIZE, "%d %s", (int)level, line);
}

TEST(a_program_may_take_the_lines)
{
    char line[CAUGHT_SIZE] = "";
    catch_log();
    weir_log_to(take_line, line);
    weir_log_set_level(WEIR_LOG_WARN);
    log_line(LOG_NOTICE, "not this");
    CHECK_SLICE(slice_str(line), "");
    log_line(LOG_WARN, "number %d", 7);
    CHECK_SLICE(slice_str(line), "1 number 7");
    weir_log_to(NULL, NULL);
    weir_log_set_level(WEIR_LOG_NOTICE);
    CHECK_EQ(0, caught().len);
    CHECK(weir_version()[0] != '\0');
}

CHECK_MAIN
