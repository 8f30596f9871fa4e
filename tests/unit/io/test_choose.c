/* SPDX-License-Identifier: MIT */
#include "io/choose.h"

#include "base/slice.h"
#include "tests/unit/io/kernels.h"

static struct uring_probe probe_with_all(void)
{
    struct uring_probe probe = {.kernel = "Linux 6.18"};
    for (unsigned i = 0; i < URING_FEATURES; i++)
        probe.has[i] = true;
    return probe;
}

static const struct uring_probe refused = {.err = WEIR_E_PERMISSION, .reason = "it is forbidden"};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

TEST(uring_where_it_can_be_had)
{
    struct uring_probe probe = probe_with_all();
    for (enum io_choice choice = IO_AUTO; choice <= IO_URING; choice++) {
        char text[BACKEND_TEXT_SIZE];
        const struct backend_ops *ops = NULL;
        CHECK_OK(backend_choose_by(choice, &probe, text, &ops));
        CHECK(ops == &uring_ops);
        CHECK(slice_starts(slice_str(text), SLICE("io_uring on Linux 6.18, which has ")));
        for (unsigned i = 0; i < URING_FEATURES; i++)
            CHECK(strstr(text, uring_features[i].name));
        CHECK(!strstr(text, "without"));
    }
}

TEST(what_is_missing_is_told_with_what_happens_instead)
{
    char text[BACKEND_TEXT_SIZE];
    const struct backend_ops *ops = NULL;
    struct uring_probe probe = probe_with_all();
    probe.has[URING_RING_DESCRIPTOR] = false;
    CHECK_OK(backend_choose_by(IO_AUTO, &probe, text, &ops));
    CHECK(ops == &uring_ops);
    CHECK(ends_with(text, "; without registered ring (the kernel looks the ring up in each call)"));
}

TEST(epoll_where_it_cannot)
{
    char text[BACKEND_TEXT_SIZE];
    const struct backend_ops *ops = NULL;
    CHECK_OK(backend_choose_by(IO_AUTO, &refused, text, &ops));
    CHECK(ops == &epoll_ops);
    CHECK_SLICE(slice_str(text), "epoll, because it is forbidden");
}

TEST(uring_that_is_wanted_and_cannot_be_had)
{
    char text[BACKEND_TEXT_SIZE];
    const struct backend_ops *ops = NULL;
    CHECK_ERR(WEIR_E_PERMISSION, backend_choose_by(IO_URING, &refused, text, &ops));
    CHECK(!ops);
    CHECK_SLICE(slice_str(text), "it is forbidden");
}

TEST(epoll_that_is_wanted)
{
    char text[BACKEND_TEXT_SIZE];
    const struct backend_ops *ops = NULL;
    CHECK_OK(backend_choose(IO_EPOLL, text, &ops));
    CHECK(ops == &epoll_ops);
    CHECK_SLICE(slice_str(text), "epoll, as configured");
}

TEST(the_kernel_is_asked)
{
    char text[BACKEND_TEXT_SIZE];
    const struct backend_ops *ops = NULL;
    if (!kernel_offers(&uring_ops))
        return;
    CHECK_OK(backend_choose(IO_AUTO, text, &ops));
    CHECK(ops == &uring_ops);
    CHECK(strlen(text) < BACKEND_TEXT_SIZE - 1);
}

/* Every feature has a fallback or is needed; all of them and their fallbacks have room in a text.
 */
TEST(the_table_is_whole)
{
    size_t len = 100;
    for (unsigned i = 0; i < URING_FEATURES; i++) {
        const struct uring_feature_row *row = &uring_features[i];
        CHECK(row->name[0] && row->since[0]);
        CHECK_EQ(row->is_needed, row->fallback[0] == '\0');
        len += strlen(row->name) + strlen(row->fallback) + 5;
    }
    CHECK(len < BACKEND_TEXT_SIZE);
}

CHECK_MAIN
