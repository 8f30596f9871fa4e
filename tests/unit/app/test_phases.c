/* SPDX-License-Identifier: MIT */
#include "app/phases.h"

#include "tests/unit/config/load.h"
#include <weir/main.h>

#define SERVICE(name)                                                                              \
    "  - { name: " name ", listen: [127.0.0.1:0], upstream: 'http://127.0.0.1:9' }\n"

static const struct weir_proxy_ops ops = {.name = "test"};
static int owner;

/* What is brought stays, so that this is one test. */
TEST(services_get_phases_by_name)
{
    struct buf messages;
    struct snapshot *two = LOAD("services:\n" SERVICE("api") SERVICE("web"));
    struct snapshot *none = LOAD("services:\n" SERVICE("wbe") SERVICE("api"));
    buf_init(&messages);

    CHECK_OK(phases_give("t.yaml", two, &messages));
    CHECK(two->services[0].ops == NULL && two->services[1].ops == NULL);

    weir_main_phases("web", &ops, &owner);
    CHECK_OK(phases_give("t.yaml", two, &messages));
    CHECK(two->services[0].ops == NULL && two->services[1].ops == &ops);
    CHECK(two->services[1].owner == &owner);
    CHECK_SLICE(buf_slice(&messages), "");

    weir_main_phases("other", &ops, NULL);
    CHECK_ERR(WEIR_E_CONFIG, phases_give("t.yaml", none, &messages));
    CHECK_SLICE(buf_slice(&messages),
                "t.yaml: error: the program has phases for 'web', and no service is so called "
                "(did you mean 'wbe'?)\n"
                "t.yaml: error: the program has phases for 'other', and no service is so called\n");
    buf_fini(&messages);
    snapshot_unref(&two);
    snapshot_unref(&none);
}

CHECK_MAIN
