/* SPDX-License-Identifier: MIT */
#include "app/phases.h"

#include "base/check.h"
#include "base/slice.h"
#include "config/suggest.h"
#include <weir/main.h>

#include <string.h>

struct phases {
    const char *service;
    const struct weir_proxy_ops *ops;
    void *owner;
};

/* The main thread's, before there is another one. */
static struct buf brought; /* struct phases */

static const struct phases *phases_at(size_t i)
{
    return (const struct phases *)(const void *)brought.at + i;
}

static size_t phases_count(void)
{
    return brought.len / sizeof(struct phases);
}

void weir_main_phases(const char *service, const struct weir_proxy_ops *ops, void *owner)
{
    const struct phases phases = {service, ops, owner};
    must(service && ops);
    for (size_t i = 0; i < phases_count(); i++)
        must(strcmp(phases_at(i)->service, service) != 0);
    buf_append(&brought, slice_of((const char *)&phases, sizeof phases));
    must(!brought.failed);
}

static enum weir_err give(const struct phases *phases, const char *file, struct snapshot *snapshot,
                          struct buf *messages)
{
    struct suggestion suggestion;
    char meant[SUGGEST_TEXT_SIZE];
    suggest_init(&suggestion, slice_str(phases->service));
    for (unsigned i = 0; i < snapshot->service_count; i++) {
        struct service_options *service = &snapshot->services[i];
        if (strcmp(service->name, phases->service) == 0) {
            service->ops = phases->ops;
            service->owner = phases->owner;
            return WEIR_OK;
        }
        suggest_look(&suggestion, slice_str(service->name));
    }
    buf_printf(messages,
               "%s: error: the program has phases for '%s', and no service is so called%s\n", file,
               phases->service, suggest_print(&suggestion, meant));
    return WEIR_E_CONFIG;
}

enum weir_err phases_give(const char *file, struct snapshot *snapshot, struct buf *messages)
{
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; i < phases_count(); i++)
        if (give(phases_at(i), file, snapshot, messages) != WEIR_OK)
            err = WEIR_E_CONFIG;
    return err;
}
