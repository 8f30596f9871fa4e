/* SPDX-License-Identifier: MIT */
#include "config/value.h"

#include "base/slice.h"
#include "client/url.h"
#include "io/addr.h"

struct unit {
    struct weir_slice name;
    uint64_t factor;
};

static const struct unit times[] = {
    {SLICE("ms"), 1000000},      {SLICE("s"), 1000000000},         {SLICE("m"), 60000000000},
    {SLICE("h"), 3600000000000}, {SLICE("d"), 24 * 3600000000000},
};
static const struct unit sizes[] = {
    {SLICE(""), 1},          {SLICE("B"), 1},         {SLICE("KiB"), 1 << 10},
    {SLICE("MiB"), 1 << 20}, {SLICE("GiB"), 1 << 30},
};

enum { NAME_BYTES_MAX = 64 };

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool with_unit(struct weir_slice text, const struct unit *units, size_t unit_count,
                      uint64_t limit, uint64_t *ret_amount)
{
    size_t digits = 0;
    while (digits < text.len && is_digit(text.at[digits]))
        digits++;
    uint64_t number;
    if (!slice_to_u64(slice_of(text.at, digits), &number))
        return false;
    for (size_t i = 0; i < unit_count; i++) {
        if (!slice_equal(slice_skip(text, digits), units[i].name))
            continue;
        if (number > limit / units[i].factor)
            return false;
        *ret_amount = number * units[i].factor;
        return true;
    }
    return false;
}

bool value_span(struct weir_slice text, struct weir_span *ret_span)
{
    uint64_t ns = 0;
    /* INT64_MAX itself means "for ever". */
    if (!slice_equal(text, SLICE("0")) &&
        !with_unit(text, times, sizeof times / sizeof times[0], INT64_MAX - 1, &ns))
        return false;
    *ret_span = weir_span_ns((int64_t)ns);
    return true;
}

bool value_size(struct weir_slice text, uint64_t *ret_bytes)
{
    return with_unit(text, sizes, sizeof sizes / sizeof sizes[0], INT64_MAX, ret_bytes);
}

bool value_percent(struct weir_slice text, uint64_t *ret_percent)
{
    return text.len > 1 && text.at[text.len - 1] == '%' &&
           slice_to_u64(slice_of(text.at, text.len - 1), ret_percent);
}

bool value_bool(struct weir_slice text, bool *ret_bool)
{
    bool is_true = slice_equal(text, SLICE("true"));
    if (!is_true && !slice_equal(text, SLICE("false")))
        return false;
    *ret_bool = is_true;
    return true;
}

bool value_is_name(struct weir_slice text)
{
    return text.len <= NAME_BYTES_MAX && url_are_host_bytes(text);
}

bool value_host(struct weir_slice text, char *ret_host)
{
    struct addr ignored;
    struct weir_slice name = slice_starts(text, SLICE("*.")) ? slice_skip(text, 2) : text;
    bool is_address = text.len > 0 && text.at[0] == '[' && addr_parse_ip(text, &ignored) == WEIR_OK;
    if (!is_address && (name.len > HOST_BYTES_MAX || !url_are_host_bytes(name)))
        return false;
    for (size_t i = 0; i < text.len; i++)
        ret_host[i] = slice_lower(text.at[i]);
    return true;
}
