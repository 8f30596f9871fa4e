/* SPDX-License-Identifier: MIT */
#include "proxy/body_filter.h"

#include "base/slice.h"
#include "http/framing.h"
#include "tests/check.h"

#include <stdio.h>

/* What the filter under test saw, piece by piece: "|" behind each, "." behind the last. */
static char seen[128];
static const char *replacement; /* of every piece that has bytes; NULL: it stays */

WEIR_SUSPENDS static enum weir_err change(void *owner, struct weir_piece *piece)
{
    size_t length = strlen(seen);
    CHECK(owner == seen);
    snprintf(seen + length, sizeof seen - length, "%.*s%s", WEIR_SLICE_ARGS(piece->bytes),
             piece->last ? "." : "|");
    if (piece->bytes.len > 0 && slice_equal(piece->bytes, SLICE("bad")))
        return WEIR_E_FILTER;
    if (replacement && piece->bytes.len > 0)
        piece->bytes = slice_str(replacement);
    piece->last = !piece->last; /* that is not the filter's to say */
    return WEIR_OK;
}

static struct body_filter filter_for(enum http_body body, uint64_t length)
{
    struct body_filter filter = {.change = change, .owner = seen};
    struct http_framing framing = {.body = body, .length = length};
    seen[0] = '\0';
    replacement = NULL;
    body_filter_start(&filter, &framing);
    return filter;
}

static struct http_piece piece_of(unsigned count, bool last)
{
    struct http_piece piece = {
        .slices = {SLICE("ab"), SLICE("cd"), SLICE("ef")}, .count = count, .last = last};
    piece.bytes = 2 * count;
    return piece;
}

TEST(one_slice_at_a_time)
{
    struct body_filter filter = filter_for(BODY_CHUNKED, 0);
    struct fields trailers;
    struct http_piece piece = piece_of(3, true), changed;
    piece.trailers = &trailers;
    CHECK_EQ(3, body_filter_turns(&piece));
    for (unsigned turn = 0; turn < 3; turn++) {
        CHECK_OK(body_filter_piece(&filter, &piece, turn, &changed));
        CHECK_EQ(1, changed.count);
        CHECK_EQ(2, changed.bytes);
        CHECK(changed.last == (turn == 2) && (changed.trailers == &trailers) == changed.last);
    }
    CHECK_SLICE(slice_str(seen), "ab|cd|ef.");
}

TEST(the_end_alone_is_seen_too)
{
    struct body_filter filter = filter_for(BODY_CHUNKED, 0);
    struct http_piece end = piece_of(0, true), nothing = piece_of(0, false), changed;
    CHECK_EQ(0, body_filter_turns(&nothing));
    CHECK_EQ(1, body_filter_turns(&end));
    CHECK_OK(body_filter_piece(&filter, &end, 0, &changed));
    CHECK(changed.last && changed.count == 0);
    CHECK_SLICE(slice_str(seen), ".");
}

TEST(pieces_may_grow_vanish_or_fail)
{
    struct body_filter filter = filter_for(BODY_CHUNKED, 0);
    struct http_piece piece = piece_of(1, false), changed;
    replacement = "longer";
    CHECK_OK(body_filter_piece(&filter, &piece, 0, &changed));
    CHECK_SLICE(changed.slices[0], "longer");
    CHECK_EQ(6, changed.bytes);
    replacement = "";
    CHECK_OK(body_filter_piece(&filter, &piece, 0, &changed));
    CHECK(piece_is_nothing(&changed));
    piece.slices[0] = SLICE("bad");
    CHECK_ERR(WEIR_E_FILTER, body_filter_piece(&filter, &piece, 0, &changed));
}

TEST(a_length_that_was_promised)
{
    static const struct {
        const char *replacement;
        uint64_t length;
        enum weir_err err;
    } cases[] = {
        {NULL, 4, WEIR_OK},           {"xy", 4, WEIR_OK},          {"xyz", 4, WEIR_E_BODY_LENGTH},
        {"x", 4, WEIR_E_BODY_LENGTH}, {"", 4, WEIR_E_BODY_LENGTH}, {"", 0, WEIR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct body_filter filter = filter_for(BODY_LENGTH, cases[i].length);
        struct http_piece piece = piece_of(2, true), changed;
        replacement = cases[i].replacement;
        enum weir_err err = body_filter_piece(&filter, &piece, 0, &changed);
        if (!err)
            err = body_filter_piece(&filter, &piece, 1, &changed);
        if (!CHECK_ERR(cases[i].err, err))
            printf("# case %zu\n", i);
    }
}

CHECK_MAIN
