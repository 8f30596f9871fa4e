/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/clock.h"
#include <weir/log.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_SIZE = 960, LINES_PER_SECOND = 10 };

static _Atomic int log_level = LOG_NOTICE;
static _Atomic int log_descriptor = STDERR_FILENO;

/* Both are set before threads are started. */
static weir_log_fn *log_to;
static void *log_to_owner;

_Static_assert((int)WEIR_LOG_ERROR == LOG_ERROR && (int)WEIR_LOG_DEBUG == LOG_DEBUG,
               "one is the other");

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_NOTICE] = "notice",
    [LOG_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

void log_set_descriptor(int descriptor)
{
    atomic_store_explicit(&log_descriptor, descriptor, memory_order_relaxed);
}

void weir_log_to(weir_log_fn *log, void *owner)
{
    log_to = log;
    log_to_owner = owner;
}

void weir_log_set_level(enum weir_log_level level)
{
    log_set_level((enum log_level)level);
}

const char *weir_version(void)
{
    return WEIR_VERSION;
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ms(), time);
    char line[LINE_SIZE];
    size_t head = (size_t)snprintf(line, sizeof line, "%s %s ", time, level_names[level]);

    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + head, sizeof line - head, format, arguments);
    va_end(arguments);
    if (more < 0)
        return;
    if (log_to) {
        log_to(log_to_owner, (enum weir_log_level)level, line + head);
        return;
    }
    size_t len = head + (size_t)more;
    if (len > sizeof line - 1)
        len = sizeof line - 1;
    line[len++] = '\n';
    /* A log that cannot be written to must not stop the program: nothing could be told about it. */
    ssize_t ignored = write(atomic_load_explicit(&log_descriptor, memory_order_relaxed), line, len);
    (void)ignored;
}

bool log_limit_pass(struct log_limit *limit, uint32_t *ret_swallowed)
{
    int64_t second = clock_monotonic().ns / 1000000000;
    *ret_swallowed = 0;
    if (atomic_load_explicit(&limit->second, memory_order_relaxed) != second) {
        atomic_store_explicit(&limit->second, second, memory_order_relaxed);
        uint32_t seen = atomic_exchange_explicit(&limit->count, 1, memory_order_relaxed);
        *ret_swallowed = seen > LINES_PER_SECOND ? seen - LINES_PER_SECOND : 0;
        return true;
    }
    return atomic_fetch_add_explicit(&limit->count, 1, memory_order_relaxed) < LINES_PER_SECOND;
}

const char *log_escape(struct weir_slice slice, char ret_text[static LOG_ESCAPED_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    size_t len = 0;
    for (size_t i = 0; i < slice.len; i++) {
        unsigned char byte = (unsigned char)slice.at[i];
        if (len > LOG_ESCAPED_SIZE - 8) {
            for (int dot = 0; dot < 3; dot++)
                ret_text[len++] = '.';
            break;
        }
        if (byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != '"') {
            ret_text[len++] = (char)byte;
            continue;
        }
        ret_text[len++] = '\\';
        ret_text[len++] = 'x';
        ret_text[len++] = hex[byte >> 4];
        ret_text[len++] = hex[byte & 15];
    }
    ret_text[len] = '\0';
    return ret_text;
}
