/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_BUILD_ROUTE_H
#define CONFIG_BUILD_ROUTE_H

/* The routes of a service, with what they want besides an upstream: auth_request and mirror. */

#include "config/build.h"

/* `list` holds the routes; the upstreams that they name are in `options`, which gets them. */
void build_routes(struct building *building, const struct yaml_node *list,
                  struct service_options *options);

/* `map` holds the upstreams of `options`; warns of those that no route names. */
void build_warn_of_unused(struct building *building, const struct yaml_node *map,
                          const struct service_options *options);

#endif
