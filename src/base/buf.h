/* SPDX-License-Identifier: MIT */
#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * A growing text for things off the request path: admin pages, log lines, generated documents. When
 * memory is out it remembers that and drops what comes; look at `failed` once at the end.
 */

#include <weir/slice.h>

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *at;
    size_t len;
    size_t capacity;
    bool failed;
};

void buf_init(struct buf *buf);
void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf);
void buf_append(struct buf *buf, struct weir_slice slice);
void buf_append_byte(struct buf *buf, char byte);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);

static inline struct weir_slice buf_slice(const struct buf *buf)
{
    return (struct weir_slice){buf->at, buf->len};
}

#endif
