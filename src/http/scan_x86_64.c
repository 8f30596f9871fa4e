/* SPDX-License-Identifier: MIT */
/* Sixteen bytes at a time. A mask has a bit for each byte to stop at. */
#include "http/scan.h"

#include <emmintrin.h>

static __m128i load(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static __m128i each(char byte)
{
    return _mm_set1_epi8(byte);
}

static __m128i equal(__m128i bytes, char byte)
{
    return _mm_cmpeq_epi8(bytes, each(byte));
}

/* Signed, so 0x80 and more are below everything. */
static __m128i between(__m128i bytes, char first, char last)
{
    return _mm_and_si128(_mm_cmpgt_epi8(bytes, each((char)(first - 1))),
                         _mm_cmplt_epi8(bytes, each((char)(last + 1))));
}

static unsigned mask_of(__m128i bytes)
{
    return (unsigned)_mm_movemask_epi8(bytes);
}

/* Letters, digits and '-' are what names are made of; the table judges the rest of tchar. */
const char *scan_name(const char *at, const char *end)
{
    while (end - at >= 16) {
        __m128i bytes = load(at);
        __m128i letters = between(_mm_or_si128(bytes, each(0x20)), 'a', 'z');
        __m128i digits = _mm_or_si128(between(bytes, '0', '9'), equal(bytes, '-'));
        unsigned stop = ~mask_of(_mm_or_si128(letters, digits)) & 0xffffu;
        if (stop == 0) {
            at += 16;
            continue;
        }
        at += __builtin_ctz(stop);
        if (!scan_is_name[(unsigned char)*at])
            return at;
        at++;
    }
    return scan_table(scan_is_name, at, end);
}

const char *scan_value(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        __m128i bytes = load(at);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, each(0x1f)), bytes);
        control = _mm_andnot_si128(equal(bytes, '\t'), control);
        unsigned stop = mask_of(_mm_or_si128(control, equal(bytes, 0x7f)));
        if (stop != 0)
            return at + __builtin_ctz(stop);
    }
    return scan_table(scan_is_value, at, end);
}

const char *scan_target(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        __m128i bytes = load(at);
        __m128i low = _mm_cmplt_epi8(bytes, each(0x21));
        __m128i other = _mm_or_si128(equal(bytes, '#'), equal(bytes, 0x7f));
        unsigned stop = mask_of(_mm_or_si128(low, other));
        if (stop != 0)
            return at + __builtin_ctz(stop);
    }
    return scan_table(scan_is_target, at, end);
}
