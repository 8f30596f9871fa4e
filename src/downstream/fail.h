/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_FAIL_H
#define DOWNSTREAM_FAIL_H

/* weir's own answers: small, never cached, and telling why in Proxy-Status (RFC 9209). */

#include "downstream/exchange.h"

/*
 * Ends an exchange that has failed with `err`: answers with the error's status if no final head was
 * sent, else leaves the response cut short, so that the client sees that it is not whole. The first
 * error of an exchange is the one that is kept.
 */
WEIR_SUSPENDS void exchange_fail(struct exchange *exchange, enum weir_err err);

/* Answers with a whole small body. */
WEIR_SUSPENDS enum weir_err exchange_answer(struct exchange *exchange, uint16_t status,
                                            struct weir_slice content_type, struct weir_slice body);

/* Sends a response that has no framing yet with a whole body. */
WEIR_SUSPENDS enum weir_err exchange_send_whole(struct exchange *exchange,
                                                struct http_response *response,
                                                struct weir_slice body);

#endif
