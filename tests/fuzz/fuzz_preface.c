/* SPDX-License-Identifier: MIT */
/*
 * Prefaces of the PROXY protocol: the first n bytes of a preface of n bytes are one, and fewer are
 * the beginning of one; what can go on is never called bad, and what is MORE can go on; what was
 * read is written, and read again as the same.
 */
#include "fuzz.h"
#include "stream/preface.h"

struct outcome {
    enum preface_result result;
    size_t used;
    struct preface preface;
};

static struct outcome parse(struct weir_slice bytes)
{
    struct outcome outcome = {.used = 0};
    char *copy = fuzz_copy(bytes);
    outcome.result = preface_parse(slice_of(copy, bytes.len), &outcome.preface, &outcome.used);
    free(copy);
    must(outcome.result == PREFACE_DONE || outcome.used == 0);
    return outcome;
}

/* Whether there is a byte that may follow. */
static bool goes_on(struct weir_slice bytes)
{
    char *longer = malloc(bytes.len + 1);
    bool is_good = false;
    must(longer);
    if (bytes.len > 0)
        memcpy(longer, bytes.at, bytes.len);
    for (unsigned byte = 0; byte < 256 && !is_good; byte++) {
        longer[bytes.len] = (char)byte;
        is_good = parse(slice_of(longer, bytes.len + 1)).result != PREFACE_BAD;
    }
    free(longer);
    return is_good;
}

/* The last byte is to come of a binary preface, whose checksum may then be wrong whatever it is. */
static bool is_last_due(struct weir_slice bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.at;
    return bytes.len >= 16 && at[0] == '\r' && bytes.len + 1 == 16 + at[14] * 256u + at[15];
}

static void check_prefixes(struct weir_slice bytes, const struct outcome *whole)
{
    struct outcome first = {.result = PREFACE_MORE};
    size_t length = 0;
    while (length <= bytes.len) {
        first = parse(slice_of(bytes.at, length));
        if (first.result != PREFACE_MORE)
            break;
        length++;
    }
    must(first.result == whole->result && first.used == whole->used);
    must(first.result != PREFACE_DONE || first.used == length);
    must(first.result != PREFACE_DONE || first.preface.is_local == whole->preface.is_local);
    must(length > 0); /* the empty one is MORE */
    struct weir_slice last = slice_of(bytes.at, length - 1);
    must(is_last_due(last) || goes_on(last));
}

/* Every address, which has no family of its own. */
static bool is_any(const char *text)
{
    return strcmp(text, "::") == 0 || strcmp(text, "0.0.0.0") == 0;
}

static void check_same(const struct addr *a, const struct addr *b)
{
    char text[ADDR_TEXT_SIZE], other[ADDR_TEXT_SIZE];
    addr_print(a, text); /* for the sanitizer */
    addr_print_ip(a, text);
    addr_print_ip(b, other);
    must(strcmp(text, other) == 0 || (is_any(text) && is_any(other)));
    must(a->len == 0 || addr_port(a) == addr_port(b));
}

static void check_written(enum preface_version version, const struct preface *preface)
{
    char bytes[PREFACE_BYTES_MAX], again[PREFACE_BYTES_MAX];
    size_t length = preface_write(version, &preface->source, &preface->destination, bytes);
    must(length > 0 && length <= sizeof bytes);
    struct outcome outcome = parse(slice_of(bytes, length));
    must(outcome.result == PREFACE_DONE && outcome.used == length);
    check_same(&preface->source, &outcome.preface.source);
    check_same(&preface->destination, &outcome.preface.destination);
    must(preface_write(version, &outcome.preface.source, &outcome.preface.destination, again) ==
         length);
    must(memcmp(bytes, again, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct weir_slice text = slice_of((const char *)bytes, size);
    struct outcome whole = parse(text);
    check_prefixes(text, &whole);
    if (whole.result == PREFACE_DONE) {
        must(whole.used <= size && whole.used <= PREFACE_ACCEPTED_BYTES_MAX);
        check_written(PREFACE_V1, &whole.preface);
        check_written(PREFACE_V2, &whole.preface);
    }
    return 0;
}
