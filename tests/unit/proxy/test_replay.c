/* SPDX-License-Identifier: MIT */
#include "proxy/replay.h"

#include "base/check.h"
#include "base/slice.h"

#include "tests/check.h"

static struct arena_cache cache;
static struct arena arena;
static struct replay replay;

static void open_replay(size_t arena_bytes, uint64_t limit_bytes)
{
    arena_cache_init(&cache);
    arena_init(&arena, &cache, arena_bytes);
    replay_init(&replay, &arena, limit_bytes);
}

static void close_replay(void)
{
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

static void keep(const char *text, bool last)
{
    struct http_piece piece = {.bytes = strlen(text), .last = last};
    if (piece.bytes > 0)
        piece.slices[piece.count++] = slice_str(text);
    replay_keep(&replay, &piece);
}

static void check_kept(const char *want)
{
    char text[256] = "";
    for (const struct replay_part *part = replay.first; part; part = part->next) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%.*s", SLICE_ARGS(part->bytes));
        CHECK((part->next == NULL) == (part == replay.last));
    }
    CHECK(!strcmp(want, text));
}

TEST(what_is_received_is_copied_in_order)
{
    char bytes[] = "world";
    struct http_piece piece = {
        .slices = {SLICE(", "), {bytes, 5}}, .count = 2, .bytes = 7, .last = true};
    open_replay(64 * 1024, 100);
    CHECK(replay.whole && !replay.complete);
    check_kept("");
    keep("hello", false);
    CHECK(replay.whole && !replay.complete);
    replay_keep(&replay, &piece);
    memset(bytes, '?', sizeof bytes);
    CHECK(replay.whole && replay.complete);
    CHECK_EQ(12, replay.bytes);
    check_kept("hello, world");
    close_replay();
}

TEST(over_the_limit_it_is_dropped_for_good)
{
    open_replay(64 * 1024, 10);
    keep("0123456789", false);
    CHECK(replay.whole);
    keep("!", false);
    CHECK(!replay.whole);
    CHECK(!replay.first && !replay.last);
    keep("x", true);
    CHECK(!replay.whole && replay.complete);
    CHECK(!replay.first);
    close_replay();
}

/* However the body comes, a buffer's arena is enough for as much as the buffer may hold. */
TEST(the_arena_is_enough_for_pieces_of_every_size)
{
    static const char bytes[32768];
    static const size_t sizes[] = {1, 7, 2001, 3999, 4000, 4001, 4100, 8191, 8193, 20000, 32768};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint64_t limit = 256 * 1024;
        struct http_piece piece = {.slices = {{bytes, sizes[i]}}, .count = 1, .bytes = sizes[i]};
        open_replay(replay_arena_bytes(limit), limit);
        while (replay.bytes + piece.bytes <= limit) {
            replay_keep(&replay, &piece);
            if (!CHECK(replay.whole))
                break;
        }
        uint64_t kept = 0;
        for (const struct replay_part *part = replay.first; part; part = part->next)
            kept += part->bytes.len;
        CHECK_EQ(replay.bytes, kept);
        close_replay();
    }
}

TEST(a_limit_of_nothing_keeps_only_what_is_empty)
{
    open_replay(64 * 1024, 0);
    keep("", true);
    CHECK(replay.whole && replay.complete);
    close_replay();
    open_replay(64 * 1024, 0);
    keep("x", true);
    CHECK(!replay.whole);
    close_replay();
}

TEST(without_memory_it_is_dropped)
{
    open_replay(0, 100);
    keep("x", false);
    CHECK(!replay.whole && !replay.first);
    close_replay();
}

/* The buffer that trailers view is gone when they would be sent again. */
TEST(a_body_with_trailers_is_not_whole)
{
    static struct fields trailers;
    struct http_piece piece = {.last = true, .trailers = &trailers};
    open_replay(64 * 1024, 100);
    keep("x", false);
    replay_keep(&replay, &piece);
    CHECK(!replay.whole && replay.complete);
    close_replay();
}

TEST(dropping_leaves_nothing)
{
    open_replay(64 * 1024, 100);
    keep("hello", true);
    replay_drop(&replay);
    CHECK(!replay.whole && !replay.first && !replay.last);
    replay_drop(&replay);
    close_replay();
}

CHECK_MAIN
