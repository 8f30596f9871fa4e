/* SPDX-License-Identifier: MIT */
#ifndef WEIR_MAIN_H
#define WEIR_MAIN_H

/*
 * A weir of one's own: the program weir, configuration and all, with what a program in C brings to
 * it. Such a program registers its transports (transport.h), which URLs of the configuration may
 * name from then on, says for which services it has phases, and calls weir_main().
 *
 * This header is not part of weir.h, as these functions are not in libweir: they are in
 * libweir-main, which has all of libweir in it. A program links one of the two.
 */

#include <weir/proxy.h>

WEIR_BEGIN

/*
 * The service of this name in the configuration gets these phases, on top of its routes: where
 * upstream_peer says nothing a request goes where its route says. Before weir_main(); once for a
 * name (checked). What is given is not copied and must stay. That no service has the name is a
 * mistake of the configuration.
 *
 * weir_exchange_owner() gives `owner`. weir_exchange_service() gives NULL: the service is the
 * configuration's, and no weir_service.
 */
WEIR_API void weir_main_phases(const char *service, const struct weir_proxy_ops *ops, void *owner);

/*
 * All that weir does: command line, configuration, logs, admin pages, signals. Once (checked), from
 * main(), before the program starts threads. Returns the exit status: 0 done, 1 could not run, 2 a
 * mistake on the command line or in the configuration.
 */
WEIR_API int weir_main(int argc, char **argv);

WEIR_END

#endif
