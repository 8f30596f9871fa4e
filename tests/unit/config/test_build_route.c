/* SPDX-License-Identifier: MIT */
#include "config/build_route.h"

#include "base/check.h"
#include "tests/unit/config/load.h"

#define UPSTREAMS "    upstreams: {web: unix:/w, auth: unix:/a, shadow: unix:/s}\n"

TEST(what_a_route_wants_besides_its_upstream)
{
    struct snapshot *snapshot =
        LOAD(SERVICE_HEAD "    routes:\n"
                          "      - path: /a\n"
                          "        upstream: web\n"
                          "        auth_request:\n"
                          "          upstream: auth\n"
                          "          path: /verify?all=1\n"
                          "          copy_headers: [X-User, cookie]\n"
                          "        mirror: {upstream: shadow, body_limit: 8KiB}\n"
                          "      - {path: /b, upstream: web,\n"
                          "         mirror: {upstream: shadow}}\n"
                          "      - {upstream: web,\n"
                          "         auth_request: {upstream: web, path: /}}\n" UPSTREAMS);
    if (!CHECK(snapshot))
        return;
    const struct route_options *routes = snapshot->services[0].routes;
    CHECK_EQ(0, routes[0].upstream);
    CHECK_EQ(1, routes[0].auth->upstream);
    CHECK_SLICE(slice_str(routes[0].auth->path), "/verify?all=1");
    CHECK_EQ(2, routes[0].auth->copy_count);
    CHECK_SLICE(slice_str(routes[0].auth->copy[0]), "X-User");
    CHECK_SLICE(slice_str(routes[0].auth->copy[1]), "cookie");
    CHECK_EQ(2, routes[0].mirror->upstream);
    CHECK_EQ(8192, routes[0].mirror->body_limit);
    CHECK(!routes[1].auth);
    CHECK_EQ(65536, routes[1].mirror->body_limit);
    CHECK(!routes[2].mirror);
    CHECK_EQ(0, routes[2].auth->upstream);
    CHECK_EQ(0, routes[2].auth->copy_count);
    snapshot_unref(&snapshot);
}

TEST(what_is_wrong_there)
{
    REJECT(
        SERVICE_HEAD
        "    routes:\n"
        "      - {path: /a, upstream: web, auth_request: {}, mirror: {}}\n"
        "      - {path: /b, upstream: web, auth_request: auth, mirror: [shadow]}\n"
        "      - {path: /c, upstream: web, auth_request: {upstream: aut, path: verify}}\n"
        "      - {path: /d, upstream: web, mirror: {upstream: shadwo, body_limit: 1GiB}}\n"
        "      - {path: /e, upstream: web, auth_request: {upstream: web, path: /a b, copy_header: "
        "[]}}\n" UPSTREAMS,
        "t.yaml:5:49: error: the auth_request of a route needs the key 'upstream'\n"
        "t.yaml:5:49: error: the auth_request of a route needs the key 'path'\n"
        "t.yaml:5:61: error: the mirror of a route needs the key 'upstream'\n"
        "t.yaml:6:49: error: the auth_request of a route must be a mapping, not 'auth'\n"
        "t.yaml:6:63: error: the mirror of a route must be a mapping, not a list\n"
        "t.yaml:7:60: error: there is no upstream 'aut' (did you mean 'auth'?)\n"
        "t.yaml:7:71: error: 'path' must be a path, which begins with '/', not 'verify'\n"
        "t.yaml:8:54: error: there is no upstream 'shadwo' (did you mean 'shadow'?)\n"
        "t.yaml:8:74: error: 'body_limit' must be from 0 to 64MiB, not '1GiB'\n"
        "t.yaml:9:71: error: 'path' has a character that is written as %XX\n"
        "t.yaml:9:77: error: unknown key 'copy_header' (did you mean 'copy_headers'?)\n"
        "t.yaml:10:31: warning: no route names the upstream 'auth'\n"
        "t.yaml:10:46: warning: no route names the upstream 'shadow'\n");
}

TEST(fields_that_cannot_be_copied)
{
    REJECT(SERVICE_HEAD
           "    routes:\n"
           "      - upstream: web\n"
           "        auth_request:\n"
           "          upstream: web\n"
           "          path: /\n"
           "          copy_headers: [host, Content-Length, transfer-encoding, CONNECTION, TE,\n"
           "                         Upgrade, Expect, Keep-Alive, \"X User\", [], \"\", X-User]\n"
           "    upstreams: {web: unix:/x}\n",
           "t.yaml:9:26: error: this field is not yours to set\n"
           "t.yaml:9:32: error: this field is not yours to set\n"
           "t.yaml:9:48: error: this field is not yours to set\n"
           "t.yaml:9:67: error: this field is not yours to set\n"
           "t.yaml:9:79: error: this field is not yours to set\n"
           "t.yaml:10:26: error: this field is not yours to set\n"
           "t.yaml:10:35: error: this field is not yours to set\n"
           "t.yaml:10:43: error: this field is not yours to set\n"
           "t.yaml:10:55: error: not the name of a field\n"
           "t.yaml:10:65: error: not the name of a field\n"
           "t.yaml:10:69: error: not the name of a field\n");
}

CHECK_MAIN
