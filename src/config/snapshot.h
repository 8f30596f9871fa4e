/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_SNAPSHOT_H
#define CONFIG_SNAPSHOT_H

/*
 * A whole configuration, read and checked: reference-counted, shared by all workers, and immutable
 * from then on. All that the option structs in it point at lives in it.
 */

#include "base/buf.h"
#include "io/choose.h"
#include "proxy/options.h"

struct snapshot {
    _Atomic unsigned references;
    unsigned threads; /* 0: one per CPU */
    enum io_choice io;
    const char *pid_file;              /* NULL: none */
    const char *user, *group;          /* NULL: stay as started */
    const char *working_directory;     /* NULL: stay */
    const char *error_log;             /* "stderr" or a path */
    const char *access_log;            /* "stdout", "off" or a path */
    struct weir_span grace_period;     /* how long running requests may take after SIGTERM */
    struct weir_span shutdown_timeout; /* how long what is left may take after that */
    bool has_admin;
    struct addr admin_listen;
    struct service_options *services;
    unsigned service_count;
    struct memory *memory; /* everything above that is pointed at */
};

/*
 * Reads a configuration from a file, or from text that is called `name` in messages. On an error
 * every mistake that was found is in `messages`, a line each: "file:line:column: error: ...",
 * and WEIR_E_CONFIG is returned. Warnings may be there on success too.
 */
enum weir_err snapshot_load_file(const char *path, struct buf *messages,
                                 struct snapshot **ret_snapshot);
enum weir_err snapshot_load_text(const char *name, struct weir_slice text, struct buf *messages,
                                 struct snapshot **ret_snapshot);

/* `weir --listen ADDR --to URL [--to URL ...]`: one service, no admin pages. */
enum weir_err snapshot_of_command_line(const char *listen, const char *const *to, unsigned to_count,
                                       struct buf *messages, struct snapshot **ret_snapshot);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* Frees it with the last reference; nulls the pointer. */
void snapshot_unref(struct snapshot **snapshot);

#endif
