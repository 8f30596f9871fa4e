/* SPDX-License-Identifier: MIT */
#ifndef APP_POOLS_PAGE_H
#define APP_POOLS_PAGE_H

/* The page /pools: every server and connection of every service, as JSON. */

#include "app/survey.h"

/* Appends the page that shows what a survey found, at `now`. */
void pools_page_print(const struct survey *survey, struct weir_time now, struct buf *out);

#endif
