/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_ANSWER_H
#define DOWNSTREAM_ANSWER_H

/* What is true of every response's head, whatever protocol it is sent in. */

#include "downstream/downstream.h"

/*
 * RFC 9110 section 8.6: 1xx and 204 have none; a client that believed it would wait for a body. Nor
 * has a head that was the answer to another request, or had another status, and came without one.
 */
void answer_drop_false_length(const struct exchange *exchange, struct http_response *response,
                              const struct http_framing *framing);

/* A response to this request with this status has no body, whatever its fields say. */
bool answer_is_bodiless(const struct exchange *exchange, uint16_t status);

/*
 * RFC 9110 section 6.6.1: who passes a response on without Date adds it. False: there is no room.
 */
bool answer_add_date(struct downstream *downstream, struct fields *fields);

#endif
