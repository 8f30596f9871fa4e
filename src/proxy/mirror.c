/* SPDX-License-Identifier: MIT */
#include "proxy/mirror.h"

#include "proxy/subrequest.h"

struct kept *mirror_begin(struct serving *serving)
{
    const struct mirror_options *options = mirror_options_of(serving);
    if (!options || serving->upgrades)
        return NULL;
    serving->mirrored.limit_bytes = options->body_limit;
    return &serving->mirrored;
}

static enum mirror_result start(struct serving *serving, const struct mirror_options *options)
{
    const struct kept *body = &serving->mirrored;
    struct weir_slice bytes = {NULL, 0};
    struct subrequest_way way = {
        .upstream = (int)options->upstream, .without_phases = true, .depth = 1};
    if (exchange_has_body(serving->exchange)) {
        if (body->truncated)
            return MIRROR_TOO_LARGE;
        if (!body->complete)
            return MIRROR_INCOMPLETE;
        bytes = body->bytes.len > 0 ? buf_slice(&body->bytes) : SLICE("");
    }
    fields_remove(&serving->original->fields, FIELD_EXPECT);
    enum weir_err err = subrequest_start(serving->service, serving->exchange, serving->original,
                                         &way, bytes, WEIR_NEVER);
    return err ? MIRROR_REFUSED : MIRROR_SENT;
}

void mirror_send(struct serving *serving)
{
    const struct mirror_options *options = mirror_options_of(serving);
    /* What never reached its own upstream is nobody else's either. */
    if (!options || serving->attempts == 0 || serving->upgrades)
        return;
    stat_add(&serving->service->stats.mirrors[start(serving, options)], 1);
}
