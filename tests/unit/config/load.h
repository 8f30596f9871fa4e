/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CONFIG_LOAD_H
#define TESTS_UNIT_CONFIG_LOAD_H

/* A configuration in a literal, and what is said about it. */

#include "base/slice.h"
#include "config/snapshot.h"
#include "tests/check.h"

#include <stdio.h>

/* Loads `text` as "t.yaml"; the messages must be `want`, the error `err`. NULL when it fails. */
__attribute__((unused)) static struct snapshot *
load_at(const char *file, int line, const char *text, enum weir_err err, const char *want)
{
    struct buf messages;
    struct snapshot *snapshot = NULL;
    buf_init(&messages);
    enum weir_err got = snapshot_load_text("t.yaml", slice_str(text), &messages, &snapshot);
    check_equal(err, (int64_t)got, "snapshot_load_text()", file, line);
    check_slice(buf_slice(&messages), want, "messages", file, line);
    check_that((got == WEIR_OK) == (snapshot != NULL), "snapshot if and only if ok", file, line);
    buf_fini(&messages);
    return snapshot;
}

/* It loads without a word; the caller unrefs it. */
#define LOAD(text) load_at(__FILE__, __LINE__, (text), WEIR_OK, "")
/* It loads, and says that. */
#define LOAD_WITH(text, messages) load_at(__FILE__, __LINE__, (text), WEIR_OK, (messages))
/* It does not load, and says that. */
#define REJECT(text, messages) (void)load_at(__FILE__, __LINE__, (text), WEIR_E_CONFIG, (messages))

#define SERVICE_HEAD "services:\n  - name: s\n    listen: [127.0.0.1:0]\n"
/* One service with one upstream, whose keys follow, each line of them begun with six spaces. */
#define UPSTREAM_HEAD SERVICE_HEAD "    upstream:\n"

#endif
