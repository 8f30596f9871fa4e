/* SPDX-License-Identifier: MIT */
/* Eight bytes at a time in a word; the table finds the place in a word that has a byte to stop at.
 */
#include "http/scan.h"

#include <stdint.h>
#include <string.h>

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t load(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Not 0 if some byte of `word` is below `limit` (at most 128); bytes of 0x80 and more are not. */
static uint64_t has_below(uint64_t word, unsigned limit)
{
    return (word - EACH(limit)) & ~word & EACH(0x80u);
}

static uint64_t has_byte(uint64_t word, unsigned byte)
{
    return has_below(word ^ EACH(byte), 1);
}

const char *scan_name(const char *at, const char *end)
{
    return scan_table(scan_is_name, at, end);
}

const char *scan_value(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word = load(at);
        if (!(has_below(word, 0x20) | has_byte(word, 0x7f)))
            continue;
        const char *stop = scan_table(scan_is_value, at, at + 8);
        if (stop < at + 8)
            return stop;
    }
    return scan_table(scan_is_value, at, end);
}

const char *scan_target(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word = load(at);
        if (has_below(word, 0x21) | has_byte(word, '#') | has_byte(word, 0x7f) |
            (word & EACH(0x80u)))
            return scan_table(scan_is_target, at, at + 8);
    }
    return scan_table(scan_is_target, at, end);
}
