/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

/*
 * From a tree to option structs: the lists, the short forms, and what hangs together over several
 * keys. Mistakes go to the report; what is built is fit for use only when there are none, and
 * memory has not run out.
 */

#include "config/schema.h"

struct building {
    struct report *report;
    struct memory *memory;
    unsigned pool_size, max_retries; /* what the top of the file says for all */
    const char *ca_file;             /* likewise */
    struct claim *names, *addresses; /* taken so far */
    struct trust *trusts;            /* read so far */
    struct service_options shared;   /* what the top of the file says for all */
};

/* The name of the one upstream of a service without routes. */
#define BUILD_ONLY_UPSTREAM "default"

/* What holds where the file is silent. */
void build_defaults(struct root_values *values);

/* The whole file; NULL when memory is out. */
struct snapshot *build_snapshot(struct report *report, struct memory *memory,
                                const struct yaml_node *root);

/*
 * One upstream, `node` being a URL or a mapping. `name` must live as long as the memory.
 */
void build_upstream(struct building *building, const char *name, const struct yaml_node *node,
                    struct upstream_options *ret_options);

/* Whether there is anything in it: what could not be read has been told. */
static inline bool build_was_read(const struct server_options *server)
{
    return server->host || server->addr.len > 0;
}

/* A list of addresses, each of which `read` reads; `section` has what messages call one. */
void build_addresses(struct building *building, const struct yaml_node *list, enum section section,
                     void (*read)(struct report *report, struct position position,
                                  struct weir_slice text, struct addr *ret_addr),
                     const struct addr **ret_addrs, unsigned *ret_count);

#endif
