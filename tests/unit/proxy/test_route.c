/* SPDX-License-Identifier: MIT */
#include "proxy/route.h"

#include "base/check.h"

#include "tests/check.h"

static struct http_request request;

/* The upstream that one route, or a list of them, gives; -1: none. */
static int match(const struct route_options *routes, unsigned count, const char *authority,
                 const char *path)
{
    struct service_options service = {.routes = routes, .route_count = count};
    request.authority = slice_str(authority);
    request.path = slice_str(path);
    const struct route_options *route = route_match(&service, &request);
    return route ? (int)route->upstream : -1;
}

struct route_case {
    const char *host, *path; /* of the route */
    const char *authority, *target;
    bool fits;
};

TEST(one_route)
{
    static const struct route_case cases[] = {
        {NULL, NULL, "a.example", "/", true},
        {NULL, NULL, "", "*", true},
        {"a.example", NULL, "a.example", "/", true},
        {"a.example", NULL, "A.EXAMPLE", "/", true},
        {"a.example", NULL, "a.example:8080", "/", true},
        {"a.example", NULL, "b.example", "/", false},
        {"a.example", NULL, "x.a.example", "/", false},
        {"a.example", NULL, "a.example.org", "/", false},
        {"a.example", NULL, "", "/", false},
        {"[::1]", NULL, "[::1]:80", "/", true},
        {"*.example", NULL, "a.example", "/", true},
        {"*.example", NULL, "B.A.Example:1", "/", true},
        {"*.example", NULL, "example", "/", false},
        {"*.example", NULL, ".example", "/", false},
        {"*.example", NULL, "aexample", "/", false},
        {"*.example", NULL, "a.example.org", "/", false},
        {NULL, "/", "h", "/", true},
        {NULL, "/", "h", "/anything?x", true},
        {NULL, "/", "h", "*", false},
        {NULL, "/v1", "h", "/v1", true},
        {NULL, "/v1", "h", "/v1/", true},
        {NULL, "/v1", "h", "/v1/x", true},
        {NULL, "/v1", "h", "/v1?q", true},
        {NULL, "/v1", "h", "/v10", false},
        {NULL, "/v1", "h", "/v", false},
        {NULL, "/v1", "h", "/V1", false},
        {NULL, "/v1", "h", "/x/v1", false},
        {NULL, "/v1/", "h", "/v1/x", true},
        {NULL, "/v1/", "h", "/v1/", true},
        {NULL, "/v1/", "h", "/v1", false},
        {"a.example", "/v1", "a.example", "/v1/x", true},
        {"a.example", "/v1", "b.example", "/v1/x", false},
        {"a.example", "/v1", "a.example", "/v2", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct route_case *row = &cases[i];
        struct route_options route = {.host = row->host, .path = row->path};
        if (!CHECK_EQ(row->fits ? 0 : -1, match(&route, 1, row->authority, row->target)))
            printf("# row %zu: host %s path %s\n", i, row->host, row->path);
    }
}

TEST(the_first_that_fits_wins)
{
    static const struct route_options routes[] = {
        {.host = "a.example", .path = "/v1/", .upstream = 0},
        {.path = "/admin", .upstream = 1},
        {.host = "*.example", .upstream = 2},
        {.upstream = 3},
    };
    CHECK_EQ(0, match(routes, 4, "a.example", "/v1/x"));
    CHECK_EQ(1, match(routes, 4, "a.example", "/admin"));
    CHECK_EQ(2, match(routes, 4, "a.example", "/v2"));
    CHECK_EQ(2, match(routes, 4, "b.example", "/v1/x"));
    CHECK_EQ(3, match(routes, 4, "example", "/"));
    CHECK_EQ(-1, match(routes, 3, "other", "/"));
    CHECK_EQ(-1, match(routes, 0, "a.example", "/"));
}

CHECK_MAIN
