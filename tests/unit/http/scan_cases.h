/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HTTP_SCAN_CASES_H
#define TESTS_UNIT_HTTP_SCAN_CASES_H

/* The same checks for each way to scan: every byte at every place of texts of every length. */

#include "http/scan.h"
#include "tests/check.h"

#include <stdlib.h>

enum { SCAN_LENGTH_MAX = 40 };

typedef const char *scan_function(const char *at, const char *end);

static void scan_check(scan_function *scan, const bool table[static 256], char filler)
{
    for (size_t length = 0; length <= SCAN_LENGTH_MAX; length++) {
        char *text = malloc(length + 1);
        memset(text, filler, length);
        CHECK(scan(text, text + length) == text + length);
        for (size_t place = 0; place < length; place++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                text[place] = (char)byte;
                const char *want = table[byte] ? text + length : text + place;
                if (scan(text, text + length) != want) {
                    printf("# byte %u at %zu of %zu\n", byte, place, length);
                    CHECK(scan(text, text + length) == want);
                }
            }
            text[place] = filler;
        }
        free(text);
    }
}

/* Two bytes to stop at: the first one counts. */
static void scan_check_two(scan_function *scan, char filler, char stop)
{
    char text[SCAN_LENGTH_MAX];
    for (size_t first = 0; first < SCAN_LENGTH_MAX; first++) {
        memset(text, filler, sizeof(text));
        memset(text + first, stop, sizeof(text) - first);
        CHECK(scan(text, text + sizeof(text)) == text + first);
    }
}

TEST(names)
{
    scan_check(scan_name, scan_is_name, 'a');
    scan_check(scan_name, scan_is_name, '_');
    scan_check_two(scan_name, 'Z', ':');
}

TEST(values)
{
    scan_check(scan_value, scan_is_value, 'x');
    scan_check(scan_value, scan_is_value, '\t');
    scan_check(scan_value, scan_is_value, '\xff');
    scan_check_two(scan_value, ' ', '\r');
}

TEST(targets)
{
    scan_check(scan_target, scan_is_target, '/');
    scan_check(scan_target, scan_is_target, '~');
    scan_check_two(scan_target, '"', ' ');
}

/* The tables against the grammar, written another way. */
TEST(tables)
{
    for (int byte = 0; byte < 256; byte++) {
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool digit = byte >= '0' && byte <= '9';
        bool mark = byte != 0 && byte < 128 && strchr("!#$%&'*+-.^_`|~", byte);
        CHECK_EQ(letter || digit || mark, scan_is_name[byte]);
        CHECK_EQ(byte == '\t' || (byte >= 32 && byte != 127), scan_is_value[byte]);
        CHECK_EQ(byte > 32 && byte < 127 && byte != '#', scan_is_target[byte]);
    }
}

CHECK_MAIN

#endif
