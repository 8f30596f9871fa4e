/* SPDX-License-Identifier: MIT */
#ifndef APP_ACCESS_LOG_H
#define APP_ACCESS_LOG_H

/*
 * The access log: a JSON object a line (docs/operating.md). A worker formats into a buffer of
 * its own and never waits: a thread writes the buffers out. When that thread cannot keep up, lines
 * are dropped and counted.
 */

#include "base/stat.h"
#include "proxy/service.h"

struct access_log;

/* `target` is "stdout" or a path, appended to. One buffer per worker. WEIR_E_PERMISSION, _IO,
 * _NO_MEMORY. */
enum weir_err access_log_open(const char *target, unsigned worker_count,
                              struct access_log **ret_log);
/* Writes out everything that is still buffered, and ends. NULL is fine. */
void access_log_close(struct access_log **log);

/* The access_log_fn of a worker's services; the owner is what access_log_part() gives. */
void access_log_record(void *part, const struct access_record *record);
void *access_log_part(struct access_log *log, unsigned worker);

/* Lines that were dropped since the start. */
uint64_t access_log_dropped(const struct access_log *log);

#endif
