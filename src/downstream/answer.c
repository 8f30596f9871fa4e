/* SPDX-License-Identifier: MIT */
#include "downstream/answer.h"

#include "base/clock.h"

void answer_drop_false_length(const struct exchange *exchange, struct http_response *response,
                              const struct http_framing *framing)
{
    bool is_missing = framing->body == BODY_NONE && !answer_is_bodiless(exchange, response->status);
    if (response->status < 200 || response->status == 204 || is_missing)
        fields_remove(&response->fields, FIELD_CONTENT_LENGTH);
}

bool answer_is_bodiless(const struct exchange *exchange, uint16_t status)
{
    return exchange->wants_head || status == 204 || status == 304;
}

/* Written once a second. */
static struct weir_slice date_now(struct downstream *downstream)
{
    int64_t wall_ms = clock_wall_ms();
    if (downstream->date_s != wall_ms / 1000) {
        downstream->date_s = wall_ms / 1000;
        clock_http_date(wall_ms, downstream->date);
    }
    return slice_of(downstream->date, CLOCK_HTTP_DATE_SIZE - 1);
}

bool answer_add_date(struct downstream *downstream, struct fields *fields)
{
    return fields_have(fields, FIELD_DATE) ||
           fields_add_known(fields, FIELD_DATE, date_now(downstream));
}
