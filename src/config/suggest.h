/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

/* "Did you mean": the nearest of some names to one that is wrong. */

#include <weir/slice.h>

#include <stdbool.h>

enum { SUGGEST_NAME_MAX = 64 }; /* longer names are not compared */

struct suggestion {
    struct weir_slice wrong;
    struct weir_slice best; /* empty: nothing is near enough */
    unsigned best_distance;
};

/*
 * The number of letters to put in, take out, change or swap with their neighbour to make one name
 * of the other.
 */
unsigned suggest_distance(struct weir_slice a, struct weir_slice b);

void suggest_init(struct suggestion *suggestion, struct weir_slice wrong);
/* Looks at one name that would be right. */
void suggest_look(struct suggestion *suggestion, struct weir_slice name);

enum { SUGGEST_TEXT_SIZE = SUGGEST_NAME_MAX + 24 };
/* " (did you mean 'name'?)", or "". Returns its argument. */
const char *suggest_print(const struct suggestion *suggestion,
                          char ret_text[static SUGGEST_TEXT_SIZE]);

#endif
