/* SPDX-License-Identifier: MIT */
#ifndef IO_URING_PROBE_H
#define IO_URING_PROBE_H

/*
 * Whether io_uring can be had here, and what it can do: the rows of uring_feature.def, each tried
 * on a small ring that is gone afterwards. It takes well under a millisecond.
 */

#include <weir/err.h>

#include <stdbool.h>
#include <stddef.h>

enum uring_feature {
#define X(NAME, ...) URING_##NAME,
#include "io/uring_feature.def"
#undef X
    URING_FEATURES,
};

struct uring_feature_row {
    const char *name, *since;
    bool is_needed;
    const char *fallback; /* of one that is not needed */
};
extern const struct uring_feature_row uring_features[URING_FEATURES];

enum { URING_REASON_SIZE = 200, KERNEL_NAME_SIZE = 40 };

struct uring_probe {
    enum weir_err err;              /* WEIR_OK: weir can run over it */
    char reason[URING_REASON_SIZE]; /* why it cannot, for people */
    char kernel[KERNEL_NAME_SIZE];  /* "Linux 6.1" */
    bool has[URING_FEATURES];       /* after an error: those that were found before it */
};

void uring_probe(struct uring_probe *ret_probe);

#endif
