/* SPDX-License-Identifier: MIT */
#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * A growing text: admin pages, log lines, generated documents, a body that is kept. When
 * memory is out it remembers that and drops what comes; look at `failed` once at the end.
 */

#include <weir/slice.h>

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *at;
    size_t len;
    size_t capacity;
    char *lent; /* memory of somebody else's, to begin with; NULL: none */
    bool failed;
};

void buf_init(struct buf *buf);
/* Begins in memory that is lent to it, so that what is short costs no allocation; NULL: none is. */
void buf_init_in(struct buf *buf, char *memory, size_t bytes);
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
