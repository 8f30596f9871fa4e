/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

/*
 * What the library tells in words: trouble with servers, mistakes of handlers and phases. Without a
 * word of the program's it goes to standard error, a line each, from "notice" upwards.
 */

#include <weir/api.h>

WEIR_BEGIN

enum weir_log_level { WEIR_LOG_ERROR, WEIR_LOG_WARN, WEIR_LOG_NOTICE, WEIR_LOG_DEBUG };

/*
 * Gets each line, without a time and without its end; valid during the call only. Called on the
 * thread that has something to tell, often several at once. It must not suspend, nor call the
 * library.
 */
typedef void weir_log_fn(void *owner, enum weir_log_level level, const char *line);

/* From now on lines go there; NULL: to standard error again. Before other threads are started. */
WEIR_API void weir_log_to(weir_log_fn *log, void *owner);
/* Lines that are less urgent are dropped. From any thread. */
WEIR_API void weir_log_set_level(enum weir_log_level level);

/* The version of the library that runs, such as "0.1.0". */
WEIR_API const char *weir_version(void);

WEIR_END

#endif
