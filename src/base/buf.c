/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf)
{
    *buf = (struct buf){0};
}

void buf_init_in(struct buf *buf, char *memory, size_t bytes)
{
    *buf = (struct buf){.at = memory, .lent = memory, .capacity = memory ? bytes : 0};
}

void buf_fini(struct buf *buf)
{
    if (buf->at != buf->lent)
        free(buf->at);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

static bool reserve(struct buf *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (more <= buf->capacity - buf->len)
        return true;
    size_t capacity = buf->capacity ? buf->capacity * 2 : 1024;
    while (capacity - buf->len < more)
        capacity *= 2;
    bool leaves = buf->at && buf->at == buf->lent;
    char *at = realloc(leaves ? NULL : buf->at, capacity);
    if (!at) {
        buf->failed = true;
        return false;
    }
    if (leaves)
        memcpy(at, buf->at, buf->len);
    buf->at = at;
    buf->capacity = capacity;
    return true;
}

void buf_append(struct buf *buf, struct weir_slice slice)
{
    if (slice.len == 0 || !reserve(buf, slice.len))
        return;
    memcpy(buf->at + buf->len, slice.at, slice.len);
    buf->len += slice.len;
}

void buf_append_byte(struct buf *buf, char byte)
{
    buf_append(buf, (struct weir_slice){&byte, 1});
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (len >= 0 && reserve(buf, (size_t)len + 1)) {
        vsnprintf(buf->at + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}
