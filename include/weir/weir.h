/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

/*
 * libweir: pooled HTTP in straight-line C. Three doors, each of which needs those before it:
 *
 *   connector.h  the client: a peer, a session from a connector, send, receive, release
 *   server.h     the server: a listener and a handler
 *   proxy.h      the proxy: phases that a program may fill, and subrequest.h
 *
 * loop.h is what they run on, and transport.h is for who brings a transport of his own.
 * docs/library.md tells how it all goes together.
 */

#include <weir/connector.h>
#include <weir/err.h>
#include <weir/log.h>
#include <weir/loop.h>
#include <weir/message.h>
#include <weir/peer.h>
#include <weir/proxy.h>
#include <weir/server.h>
#include <weir/slice.h>
#include <weir/subrequest.h>
#include <weir/suspends.h>
#include <weir/time.h>
#include <weir/transport.h>

#endif
