/* SPDX-License-Identifier: MIT */
#include "stream/tls_text.h"

#include <string.h>

/* From here on copying costs more than a record of its own. */
enum { LARGE_BYTES = 4096 };

void tls_text_init(struct tls_text *text, const struct weir_slice *slices, unsigned count)
{
    *text = (struct tls_text){.slices = slices, .count = count};
}

void tls_text_fini(struct tls_text *text, struct iobufs *bufs)
{
    iobuf_give(bufs, &text->gathered);
}

/* At most `bytes` of what is left of the first slice that is not used up. */
static struct weir_slice peek(struct tls_text *text, size_t bytes)
{
    while (text->count > 0 && text->used_bytes == text->slices->len) {
        text->slices++;
        text->count--;
        text->used_bytes = 0;
    }
    if (text->count == 0)
        return slice_of(NULL, 0);
    struct weir_slice rest = slice_skip(*text->slices, text->used_bytes);
    return slice_of(rest.at, rest.len < bytes ? rest.len : bytes);
}

static struct weir_slice gather(struct tls_text *text)
{
    struct iobuf *to = text->gathered;
    to->start = to->end = 0;
    for (;;) {
        struct weir_slice next = peek(text, TLS_RECORD_BYTES - to->end);
        if (next.len == 0)
            return iobuf_slice(to);
        memcpy(to->bytes + to->end, next.at, next.len);
        to->end += (uint32_t)next.len;
        text->used_bytes += next.len;
    }
}

enum weir_err tls_text_next(struct tls_text *text, struct iobufs *bufs,
                            struct weir_slice *ret_record)
{
    struct weir_slice next = peek(text, TLS_RECORD_BYTES);
    if (next.len >= LARGE_BYTES || text->count <= 1) {
        text->used_bytes += next.len;
        *ret_record = next;
        return WEIR_OK;
    }
    if (!text->gathered)
        text->gathered = iobuf_take(bufs);
    if (!text->gathered)
        return WEIR_E_NO_MEMORY;
    *ret_record = gather(text);
    return WEIR_OK;
}
