/* SPDX-License-Identifier: MIT */
#ifndef APP_DASHBOARD_PAGE_H
#define APP_DASHBOARD_PAGE_H

/* page.html, made into an array by embed.py. */

#include <stddef.h>

extern const char dashboard_page[];
extern const size_t dashboard_page_bytes;

#endif
