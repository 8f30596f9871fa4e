/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_BUILD_TLS_H
#define CONFIG_BUILD_TLS_H

/*
 * What the `tls` of a listener or an upstream becomes. The files are read here, so that what is
 * wrong with them is told with its place in the configuration. What is made belongs to the
 * configuration's memory and goes with it.
 */

#include "config/build.h"

/* `node` is the listener, whose `tls` was read into `values`. Sets values->options.tls. */
void build_listener_tls(struct building *building, const struct yaml_node *node,
                        struct listener_values *values);

/* `node` is the upstream, whose `tls` was read into `values`; it may be a URL, for the defaults.
 * Sets values->options.tls and .sni. */
void build_upstream_tls(struct building *building, const struct yaml_node *node,
                        struct upstream_values *values);

#endif
