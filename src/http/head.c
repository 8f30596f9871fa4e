/* SPDX-License-Identifier: MIT */
#include "http/head.h"

enum http_method http_method_of(struct weir_slice name)
{
#define X(NAME, idempotent)                                                                        \
    if (slice_equal(name, SLICE(#NAME)))                                                           \
        return METHOD_##NAME;
#include "http/method.def"
#undef X
    return METHOD_OTHER;
}

bool http_method_is_idempotent(enum http_method method)
{
    switch (method) {
#define X(NAME, idempotent)                                                                        \
    case METHOD_##NAME:                                                                            \
        return idempotent;
#include "http/method.def"
#undef X
    case METHOD_OTHER:
        break;
    }
    return false;
}

const char *http_protocol_name(enum http_protocol protocol)
{
    static const char *const names[] = {
        [HTTP_1] = "http/1.1", [HTTP_2] = "h2", [HTTP_CUSTOM] = "custom"};
    return names[protocol];
}

struct weir_slice http_reason(uint16_t status)
{
    switch (status) {
#define X(number, phrase)                                                                          \
    case number:                                                                                   \
        return SLICE(phrase);
#include "http/reason.def"
#undef X
    default:
        return SLICE("");
    }
}
