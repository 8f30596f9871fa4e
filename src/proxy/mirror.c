/* SPDX-License-Identifier: MIT */
#include "proxy/mirror.h"

#include "proxy/subrequest.h"

/* A body that is no longer than this is kept in the exchange's own memory. */
enum { SHORT_BYTES = 4096 };

struct kept *mirror_begin(struct serving *serving)
{
    const struct mirror_options *options = mirror_options_of(serving);
    if (!options || serving->upgrades)
        return NULL;
    serving->mirrored.limit_bytes = options->body_limit;
    if (!serving->mirrored.bytes.at && exchange_has_body(serving->exchange))
        buf_init_in(&serving->mirrored.bytes, arena_alloc(&serving->exchange->arena, SHORT_BYTES),
                    SHORT_BYTES);
    return &serving->mirrored;
}

/* The body, which is told even where it is empty: a POST says so. */
static enum mirror_result take_body(const struct serving *serving, struct weir_slice *ret_bytes)
{
    const struct kept *body = &serving->mirrored;
    if (exchange_has_body(serving->exchange) && body->truncated)
        return MIRROR_TOO_LARGE;
    if (exchange_has_body(serving->exchange) && !body->complete)
        return MIRROR_INCOMPLETE;
    if (serving->exchange->framing.body != BODY_NONE)
        *ret_bytes = body->bytes.len > 0 ? buf_slice(&body->bytes) : SLICE("");
    return MIRROR_SENT;
}

static enum mirror_result start(struct serving *serving, const struct mirror_options *options)
{
    struct weir_slice bytes = {NULL, 0};
    struct subrequest_way way = {
        .upstream = (int)options->upstream, .without_phases = true, .depth = 1};
    enum mirror_result result = take_body(serving, &bytes);
    if (result != MIRROR_SENT)
        return result;
    fields_remove(&serving->original->fields, FIELD_EXPECT);
    enum weir_err err = subrequest_start(serving->service, serving->exchange, serving->original,
                                         &way, bytes, WEIR_NEVER);
    return err ? MIRROR_REFUSED : MIRROR_SENT;
}

void mirror_send(struct serving *serving)
{
    const struct mirror_options *options = mirror_options_of(serving);
    /* What was not meant for its own upstream is nobody else's either. */
    if (!options || serving->attempts == 0 || serving->upgrades)
        return;
    stat_add(&serving->service->stats.mirrors[start(serving, options)], 1);
}
