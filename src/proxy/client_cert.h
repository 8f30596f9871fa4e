/* SPDX-License-Identifier: MIT */
#ifndef PROXY_CLIENT_CERT_H
#define PROXY_CLIENT_CERT_H

/*
 * Tells servers of the certificate that a client has shown: the field Client-Cert (RFC 9440). What
 * a client sends under that name itself is taken away, so that servers can believe it: always over
 * TLS, and without TLS too where the service asks clients for certificates on any listener.
 */

#include "downstream/exchange.h"

/* The text is of the exchange's arena. WEIR_E_NO_MEMORY, _LIMIT. */
enum weir_err client_cert_tell(struct exchange *exchange, bool service_asks);

#endif
