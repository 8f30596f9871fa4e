/* SPDX-License-Identifier: MIT */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * The error log: one line an event, "time level text". Lines go out in one write each, so that
 * lines of several workers do not mix. Repeating trouble is limited per place: see LOG_LIMITED.
 */

#include <weir/slice.h>

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_DEBUG };

/* Lines less urgent than `level` are dropped. The default is LOG_NOTICE. */
void log_set_level(enum log_level level);
/* Where lines go; the default is standard error. The descriptor stays the caller's. */
void log_set_descriptor(int descriptor);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

/* Lets at most ten lines a second through for one place; tells how many it swallowed. */
struct log_limit {
    _Atomic int64_t second;
    _Atomic uint32_t count;
};
/* True if a line may be written now; `*ret_swallowed` says how many were dropped before it. */
bool log_limit_pass(struct log_limit *limit, uint32_t *ret_swallowed);

#define LOG_LIMITED(level, format, ...)                                                            \
    do {                                                                                           \
        static struct log_limit limit_;                                                            \
        uint32_t swallowed_;                                                                       \
        if (log_limit_pass(&limit_, &swallowed_))                                                  \
            log_line(level, format "%s", ##__VA_ARGS__, swallowed_ ? " (and more like it)" : "");  \
    } while (0)

enum { LOG_ESCAPED_SIZE = 260 };
/*
 * Writes the first bytes of `slice` so that they cannot break a line or a terminal: printable ASCII
 * as it is, the rest as \xNN. NUL-terminated, cut with "..." when it does not fit. Returns its
 * argument, for use inside a call.
 */
const char *log_escape(struct weir_slice slice, char ret_text[static LOG_ESCAPED_SIZE]);

#endif
