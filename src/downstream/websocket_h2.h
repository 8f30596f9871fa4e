/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_WEBSOCKET_H2_H
#define DOWNSTREAM_WEBSOCKET_H2_H

/*
 * WebSocket over a stream of HTTP/2 begins with an extended CONNECT (RFC 8441). To the rest of weir
 * it is what it would be in HTTP/1: a GET that asks for an upgrade, and an answer 101.
 */

#include "downstream/exchange.h"

/* Puts in what the client of HTTP/1 says. WEIR_E_REQUEST_HEAD_LENGTH, _NO_MEMORY. */
enum weir_err websocket_h2_request(struct http_request *request, struct arena *arena);

/*
 * Makes the 101 a 200, without the server's word that it has read the key. Any other success is no
 * answer to such a request: WEIR_E_UPGRADE_FAILED.
 */
enum weir_err websocket_h2_response(struct http_response *response);

#endif
