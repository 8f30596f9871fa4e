/* SPDX-License-Identifier: MIT */
#include "config/suggest.h"

#include "base/slice.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment; three rows of its table are enough. */
unsigned suggest_distance(struct weir_slice a, struct weir_slice b)
{
    unsigned char rows[3][SUGGEST_NAME_MAX + 1];
    if (a.len > SUGGEST_NAME_MAX || b.len > SUGGEST_NAME_MAX)
        return UINT_MAX;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= a.len; i++) {
        const unsigned char *above = rows[(i - 1) % 3], *second = rows[(i + 1) % 3];
        unsigned char *row = rows[i % 3];
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned change = above[j - 1] + (a.at[i - 1] != b.at[j - 1] ? 1U : 0U);
            unsigned best = least(change, least(above[j], row[j - 1]) + 1U);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
                best = least(best, second[j - 2] + 1U);
            row[j] = (unsigned char)best;
        }
    }
    return rows[a.len % 3][b.len];
}

void suggest_init(struct suggestion *suggestion, struct weir_slice wrong)
{
    /* With more than a third of the letters wrong, names have nothing to do with each other. */
    unsigned limit = wrong.len < 3 ? 1 : (unsigned)(wrong.len / 3);
    *suggestion = (struct suggestion){.wrong = wrong, .best_distance = limit + 1};
}

void suggest_look(struct suggestion *suggestion, struct weir_slice name)
{
    unsigned distance = suggest_distance(suggestion->wrong, name);
    if (distance < suggestion->best_distance && distance < name.len) {
        suggestion->best = name;
        suggestion->best_distance = distance;
    }
}

const char *suggest_print(const struct suggestion *suggestion,
                          char ret_text[static SUGGEST_TEXT_SIZE])
{
    ret_text[0] = '\0';
    if (suggestion->best.len > 0)
        snprintf(ret_text, SUGGEST_TEXT_SIZE, " (did you mean '%.*s'?)",
                 SLICE_ARGS(suggestion->best));
    return ret_text;
}
