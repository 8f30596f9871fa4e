/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

/*
 * The unit harness: one program per source file, TAP for Meson. A failed check is told with file
 * and line and the test goes on; nothing jumps, so that checks work inside coroutines.
 *
 *     TEST(name) { CHECK(condition); CHECK_EQ(2, f()); CHECK_SLICE(slice, "text"); }
 *     int main(void) { return check_run_all(); }       provided by CHECK_MAIN
 */

#include <weir/err.h>
#include <weir/slice.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct check_test {
    const char *name;
    void (*run)(void);
    struct check_test *next;
};

static struct check_test *check_tests, **check_tests_end = &check_tests;
static unsigned check_failures;
static const char *check_skipped; /* why the test that runs cannot be had here */

#define TEST(test_name)                                                                            \
    static void test_name(void);                                                                   \
    __attribute__((constructor)) static void check_register_##test_name(void)                      \
    {                                                                                              \
        static struct check_test test = {#test_name, test_name, NULL};                             \
        *check_tests_end = &test;                                                                  \
        check_tests_end = &test.next;                                                              \
    }                                                                                              \
    static void test_name(void)

__attribute__((unused)) static bool check_that(bool holds, const char *text, const char *file,
                                               int line)
{
    if (!holds) {
        check_failures++;
        printf("# %s:%d: does not hold: %s\n", file, line, text);
    }
    return holds;
}

__attribute__((unused)) static bool check_equal(int64_t want, int64_t got, const char *text,
                                                const char *file, int line)
{
    if (want != got) {
        check_failures++;
        printf("# %s:%d: %s is %" PRId64 ", not %" PRId64 "\n", file, line, text, got, want);
    }
    return want == got;
}

__attribute__((unused)) static bool check_slice(struct weir_slice got, const char *want,
                                                const char *text, const char *file, int line)
{
    bool same = got.len == strlen(want) && (got.len == 0 || memcmp(got.at, want, got.len) == 0);
    if (!same) {
        check_failures++;
        printf("# %s:%d: %s is \"%.*s\", not \"%s\"\n", file, line, text, (int)got.len,
               got.at ? got.at : "", want);
    }
    return same;
}

/* Each gives true when it holds, for `if (!CHECK(...)) return;`. */
#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(want, got) check_equal((int64_t)(want), (int64_t)(got), #got, __FILE__, __LINE__)
#define CHECK_SLICE(got, want) check_slice((got), (want), #got, __FILE__, __LINE__)
#define CHECK_OK(call) check_equal(WEIR_OK, (int64_t)(call), #call, __FILE__, __LINE__)
#define CHECK_ERR(want, call) check_equal((want), (int64_t)(call), #call, __FILE__, __LINE__)

/* The test that runs is told as skipped; it returns after that. The reason is kept, not copied. */
__attribute__((unused)) static void check_skip(const char *reason)
{
    check_skipped = reason;
}

/* With an argument: only the tests whose name contains it. */
__attribute__((unused)) static int check_run_all(int argc, char **argv)
{
    unsigned count = 0, failed = 0;
    for (struct check_test *test = check_tests; test; test = test->next) {
        if (argc > 1 && !strstr(test->name, argv[1]))
            continue;
        unsigned before = check_failures;
        check_skipped = NULL;
        test->run();
        bool good = check_failures == before;
        failed += !good;
        printf("%s %u - %s%s%s\n", good ? "ok" : "not ok", ++count, test->name,
               check_skipped ? " # SKIP " : "", check_skipped ? check_skipped : "");
        fflush(stdout);
    }
    printf("1..%u\n", count);
    return failed != 0;
}

#define CHECK_MAIN                                                                                 \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return check_run_all(argc, argv);                                                          \
    }

#endif
