/* SPDX-License-Identifier: MIT */
#include "app/access_log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "tests/check.h"
#include "tests/unit/app/record.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[] = "/tmp/weir-access-log-XXXXXX";
static char path[64];

static void new_file(void)
{
    if (!path[0])
        CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/log", directory);
    unlink(path);
}

__attribute__((destructor)) static void remove_files(void)
{
    unlink(path);
    rmdir(directory);
}

/* What is in the file; the caller frees it. */
static struct buf read_file(void)
{
    struct buf text;
    char piece[4096];
    buf_init(&text);
    FILE *file = fopen(path, "r");
    if (!file)
        return text;
    for (size_t len; (len = fread(piece, 1, sizeof piece, file)) > 0;)
        buf_append(&text, slice_of(piece, len));
    fclose(file);
    return text;
}

/* Lines that begin and end as ours do; -1 when one does not. */
static int count_lines(struct weir_slice text)
{
    int count = 0;
    while (text.len > 0) {
        size_t end = slice_find(text, '\n');
        struct weir_slice line = slice_of(text.at, end);
        if (end == text.len || !slice_starts(line, SLICE("{\"time\":\"")) ||
            !slice_equal(slice_skip(line, line.len - 13), SLICE("\"error\":null}")))
            return -1;
        text = slice_skip(text, end + 1);
        count++;
    }
    return count;
}

static int lines_in_file(void)
{
    struct buf text = read_file();
    int count = count_lines(buf_slice(&text));
    buf_fini(&text);
    return count;
}

enum { WORKERS = 3, LINES_EACH = 20000 };

static void *record_many(void *part)
{
    struct record *record = malloc(sizeof *record);
    record_init(record);
    for (int i = 0; i < LINES_EACH; i++)
        access_log_record(part, &record->access);
    free(record);
    return NULL;
}

TEST(lines_of_all_workers_are_whole_or_counted_as_dropped)
{
    struct access_log *log = NULL;
    pthread_t threads[WORKERS];
    new_file();
    CHECK_OK(access_log_open(path, WORKERS, &log));
    for (unsigned i = 0; i < WORKERS; i++)
        CHECK_EQ(0, pthread_create(&threads[i], NULL, record_many, access_log_part(log, i)));
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    uint64_t dropped = access_log_dropped(log);
    access_log_close(&log);
    CHECK(log == NULL);
    CHECK_EQ(WORKERS * LINES_EACH, lines_in_file() + (int)dropped);
    CHECK(lines_in_file() > 1000);
}

TEST(a_line_goes_out_soon_and_the_file_is_appended_to)
{
    static struct record record;
    record_init(&record);
    new_file();
    for (int round = 1; round <= 2; round++) {
        struct access_log *log = NULL;
        CHECK_OK(access_log_open(path, 1, &log));
        for (int line = 1; line <= 3; line++) {
            access_log_record(access_log_part(log, 0), &record.access);
            struct weir_time end = weir_time_after(clock_monotonic(), weir_span_s(5));
            int want = (round - 1) * 3 + line;
            while (lines_in_file() != want && weir_time_before(clock_monotonic(), end))
                sched_yield();
            CHECK_EQ(want, lines_in_file());
        }
        CHECK_EQ(0, access_log_dropped(log));
        access_log_close(&log);
    }
}

/* A pipe whose reader has stopped: nobody waits for it, neither a worker nor the end. */
TEST(a_reader_that_takes_nothing_costs_lines_and_no_time)
{
    enum { LINES = 20000 };
    static struct record record;
    struct access_log *log = NULL;
    int ends[2];
    CHECK_EQ(0, pipe(ends));
    char target[32];
    snprintf(target, sizeof target, "/dev/fd/%d", ends[1]);
    record_init(&record);
    CHECK_OK(access_log_open(target, 1, &log));
    close(ends[1]);
    for (int i = 0; i < LINES; i++)
        access_log_record(access_log_part(log, 0), &record.access);
    CHECK(access_log_dropped(log) > 0);
    CHECK(access_log_dropped(log) < LINES);
    struct weir_time before = clock_monotonic();
    access_log_close(&log);
    CHECK(weir_time_between(before, clock_monotonic()).ns < weir_span_s(5).ns);
    close(ends[0]);
}

TEST(a_reader_that_has_gone_is_survived_and_its_lines_are_counted)
{
    static struct record record;
    struct access_log *log = NULL;
    int ends[2];
    CHECK_EQ(0, pipe(ends));
    char target[32];
    snprintf(target, sizeof target, "/dev/fd/%d", ends[1]);
    record_init(&record);
    CHECK_OK(access_log_open(target, 1, &log));
    close(ends[1]);
    close(ends[0]);
    for (int i = 0; i < 10; i++)
        access_log_record(access_log_part(log, 0), &record.access);
    struct weir_time end = weir_time_after(clock_monotonic(), weir_span_s(5));
    while (access_log_dropped(log) < 10 && weir_time_before(clock_monotonic(), end))
        sched_yield();
    CHECK_EQ(10, access_log_dropped(log));
    access_log_close(&log);
}

TEST(what_cannot_be_opened_is_an_error)
{
    struct access_log *log = NULL;
    CHECK_ERR(WEIR_E_IO, access_log_open("/nonexistent/log", 1, &log));
    CHECK_ERR(WEIR_E_IO, access_log_open("/tmp", 1, &log));
    CHECK(log == NULL);
    access_log_close(&log);
}

CHECK_MAIN
