/* SPDX-License-Identifier: MIT */
#include "proxy/route.h"

#include <stddef.h>

static bool host_fits(const char *pattern, struct weir_slice host)
{
    if (!pattern)
        return true;
    struct weir_slice want = slice_str(pattern);
    if (!slice_starts(want, SLICE("*.")))
        return slice_equal_nocase(want, host);
    struct weir_slice suffix = slice_skip(want, 1);
    if (host.len <= suffix.len)
        return false;
    return slice_equal_nocase(slice_skip(host, host.len - suffix.len), suffix);
}

static bool path_fits(const char *pattern, struct weir_slice path)
{
    if (!pattern)
        return true;
    struct weir_slice prefix = slice_str(pattern);
    if (!slice_starts(path, prefix))
        return false;
    if (path.len == prefix.len || prefix.at[prefix.len - 1] == '/')
        return true;
    char next = path.at[prefix.len];
    return next == '/' || next == '?';
}

const struct route_options *route_match(const struct service_options *service,
                                        const struct http_request *request)
{
    struct weir_slice host = http_authority_host(request->authority);
    for (unsigned i = 0; i < service->route_count; i++) {
        const struct route_options *route = &service->routes[i];
        if (host_fits(route->host, host) && path_fits(route->path, request->path))
            return route;
    }
    return NULL;
}
