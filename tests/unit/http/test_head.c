/* SPDX-License-Identifier: MIT */
#include "http/head.h"
#include "tests/check.h"

struct method_row {
    struct weir_slice name;
    enum http_method method;
    bool idempotent;
};

static const struct method_row methods[] = {
    {{"GET", 3}, METHOD_GET, true},         {{"HEAD", 4}, METHOD_HEAD, true},
    {{"POST", 4}, METHOD_POST, false},      {{"PUT", 3}, METHOD_PUT, true},
    {{"DELETE", 6}, METHOD_DELETE, true},   {{"CONNECT", 7}, METHOD_CONNECT, false},
    {{"OPTIONS", 7}, METHOD_OPTIONS, true}, {{"TRACE", 5}, METHOD_TRACE, true},
    {{"PATCH", 5}, METHOD_PATCH, false},    {{"get", 3}, METHOD_OTHER, false},
    {{"PROPFIND", 8}, METHOD_OTHER, false}, {{"", 0}, METHOD_OTHER, false},
    {{"GETS", 4}, METHOD_OTHER, false},
};

TEST(methods_have_names_and_nature)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        CHECK_EQ(methods[i].method, http_method_of(methods[i].name));
        CHECK_EQ(methods[i].idempotent, http_method_is_idempotent(methods[i].method));
    }
}

TEST(reasons)
{
    CHECK_SLICE(http_reason(200), "OK");
    CHECK_SLICE(http_reason(431), "Request Header Fields Too Large");
    CHECK_SLICE(http_reason(504), "Gateway Timeout");
    CHECK_SLICE(http_reason(299), "");
    CHECK_SLICE(http_reason(0), "");
}

TEST(interim)
{
    CHECK(http_status_is_interim(100));
    CHECK(http_status_is_interim(103));
    CHECK(!http_status_is_interim(101));
    CHECK(!http_status_is_interim(200));
    CHECK(!http_status_is_interim(99));
}

CHECK_MAIN
