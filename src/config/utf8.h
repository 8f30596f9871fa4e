/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_UTF8_H
#define CONFIG_UTF8_H

#include <weir/slice.h>

#include <stddef.h>

/*
 * The length of the first part of `text` that is UTF-8 (RFC 3629) and holds only what YAML 1.2
 * allows in a file (section 5.1, printable characters); text.len when all of it is good.
 */
size_t utf8_printable(struct weir_slice text);

#endif
