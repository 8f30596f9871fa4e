/* SPDX-License-Identifier: MIT */
#include "app/access_line.h"

#include "app/json.h"
#include "base/slice.h"
#include "downstream/exchange.h"

#include <string.h>

/* Each put_*() writes at `to` and returns the end of what it wrote. */

static char *put(char *to, struct weir_slice text)
{
    memcpy(to, text.at, text.len);
    return to + text.len;
}

#define PUT(to, literal) put(to, SLICE(literal))

static char *put_uint(char *to, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return put(to, slice_of(digits + at, sizeof digits - at));
}

/* A duration; one that is negative is none. */
static char *put_count(char *to, int64_t count)
{
    return put_uint(to, count > 0 ? (uint64_t)count : 0);
}

static char *put_string(char *to, struct weir_slice text, size_t room)
{
    *to++ = '"';
    to += json_escape(&text, to, room - 2);
    *to++ = '"';
    return to;
}

static char *put_text(char *to, const char *text)
{
    return text ? put_string(to, slice_str(text), ACCESS_TEXT_BYTES) : PUT(to, "null");
}

static char *put_slice(char *to, struct weir_slice text, size_t room)
{
    return text.len ? put_string(to, text, room) : PUT(to, "null");
}

static char *put_time(char *to, int64_t wall_ms, struct access_clock *clock)
{
    int64_t second = wall_ms / 1000;
    unsigned ms = (unsigned)(wall_ms % 1000);
    if (clock->second != second) {
        clock_rfc3339(second * 1000, clock->text);
        clock->second = second;
    }
    char *dot = clock->text + sizeof "2026-01-02T03:04:05" - 1;
    dot[1] = (char)('0' + ms / 100);
    dot[2] = (char)('0' + ms / 10 % 10);
    dot[3] = (char)('0' + ms % 10);
    *to++ = '"';
    to = put(to, slice_of(clock->text, CLOCK_RFC3339_SIZE - 1));
    *to++ = '"';
    return to;
}

static char *put_client(char *to, const struct addr *client)
{
    char text[ADDR_TEXT_SIZE];
    if (client->len == 0 || client->any.sa_family != AF_INET)
        return put_text(to, addr_print_ip(client, text));
    unsigned char bytes[4];
    memcpy(bytes, &client->v4.sin_addr, sizeof bytes);
    *to++ = '"';
    for (int i = 0; i < 4; i++) {
        to = put_uint(to, bytes[i]);
        *to++ = i < 3 ? '.' : '"';
    }
    return to;
}

/* A malformed request has no method; what it has of the rest means nothing then. */
static char *put_request(char *to, const struct http_request *request)
{
    bool known = request->method_text.len > 0;
    to = PUT(to, ",\"method\":");
    to = put_slice(to, request->method_text, ACCESS_TEXT_BYTES);
    to = PUT(to, ",\"host\":");
    to = put_slice(to, known ? request->authority : SLICE(""), ACCESS_TEXT_BYTES);
    to = PUT(to, ",\"path\":");
    to = put_slice(to, known ? request->path : SLICE(""), ACCESS_PATH_BYTES);
    to = PUT(to, ",\"protocol\":");
    if (!known)
        return PUT(to, "null");
    if (request->protocol == HTTP_2)
        return PUT(to, "\"HTTP/2\"");
    return request->minor ? PUT(to, "\"HTTP/1.1\"") : PUT(to, "\"HTTP/1.0\"");
}

static char *put_response(char *to, const struct access_record *record)
{
    const struct exchange *exchange = record->exchange;
    to = PUT(to, ",\"status\":");
    to = put_uint(to, exchange->status);
    to = PUT(to, ",\"request_bytes\":");
    to = put_uint(to, exchange->received_bytes);
    to = PUT(to, ",\"response_bytes\":");
    to = put_uint(to, exchange_sent_bytes(exchange));
    to = PUT(to, ",\"duration_us\":");
    return put_count(to, record->duration.ns / 1000);
}

static char *put_resumed(char *to, const struct tls_facts *facts)
{
    if (!facts->version)
        return PUT(to, "null");
    return facts->resumed ? PUT(to, "true") : PUT(to, "false");
}

/* SNI is the client's: it may be anything, and long. */
static char *put_client_tls(char *to, const struct tls_facts *facts)
{
    to = PUT(to, ",\"client_tls\":");
    to = put_text(to, facts->version);
    to = PUT(to, ",\"client_tls_resumed\":");
    to = put_resumed(to, facts);
    to = PUT(to, ",\"client_sni\":");
    return put_text(to, facts->server_name);
}

static char *put_connection(char *to, const struct access_record *record)
{
    const struct session_story *story = &record->story;
    if (!record->connected)
        return PUT(to, ",\"upstream_protocol\":null,"
                       "\"connection\":null,\"connection_id\":null,\"connection_requests\":null,"
                       "\"connection_age_ms\":null,\"connection_idle_ms\":null,"
                       "\"miss\":null,\"wait\":null,\"wait_us\":0,\"connect_us\":0,\"tls_us\":0,"
                       "\"tls_version\":null,\"tls_resumed\":null");
    to = PUT(to, ",\"upstream_protocol\":");
    to = put_text(to, http_protocol_name(story->protocol));
    to = PUT(to, ",\"connection\":");
    to = put_text(to, conn_source_name(story->source));
    to = PUT(to, ",\"connection_id\":");
    to = put_uint(to, story->connection_id);
    to = PUT(to, ",\"connection_requests\":");
    to = put_uint(to, story->connection_requests);
    to = PUT(to, ",\"connection_age_ms\":");
    to = put_count(to, weir_span_to_ms(story->connection_age));
    to = PUT(to, ",\"connection_idle_ms\":");
    to = put_count(to, weir_span_to_ms(story->connection_idle));
    to = PUT(to, ",\"miss\":");
    to = put_text(to, story->missed ? miss_name(story->miss) : NULL);
    to = PUT(to, ",\"wait\":");
    to = put_text(to, story->missed ? wait_name(story->waited) : NULL);
    to = PUT(to, ",\"wait_us\":");
    to = put_count(to, story->wait.ns / 1000);
    to = PUT(to, ",\"connect_us\":");
    to = put_count(to, story->connect.ns / 1000);
    to = PUT(to, ",\"tls_us\":");
    to = put_count(to, story->tls.ns / 1000);
    to = PUT(to, ",\"tls_version\":");
    to = put_text(to, story->facts.version);
    to = PUT(to, ",\"tls_resumed\":");
    return put_resumed(to, &story->facts);
}

size_t access_line_write(const struct access_record *record, int64_t wall_ms,
                         struct access_clock *clock, char ret_line[static ACCESS_LINE_BYTES])
{
    enum weir_err err = record->exchange->error;
    char *to = PUT(ret_line, "{\"time\":");
    to = put_time(to, wall_ms, clock);
    to = PUT(to, ",\"service\":");
    to = put_text(to, record->service->options->name);
    to = PUT(to, ",\"client\":");
    to = put_client(to, &record->exchange->client);
    to = put_client_tls(to, &record->exchange->tls);
    to = put_request(to, record->exchange->request);
    to = put_response(to, record);
    to = PUT(to, ",\"upstream\":");
    to = put_text(to, record->upstream);
    to = PUT(to, ",\"peer\":");
    to = put_text(to, record->peer);
    to = put_connection(to, record);
    to = PUT(to, ",\"attempts\":");
    to = put_uint(to, record->attempts);
    to = PUT(to, ",\"retried\":");
    to = put_text(to, record->retried ? weir_err_name(record->retried) : NULL);
    to = PUT(to, ",\"not_kept\":");
    to = put_text(to, record->not_kept == KEEP ? NULL : keep_name(record->not_kept));
    to = PUT(to, ",\"error\":");
    to = put_text(to, err ? weir_err_name(err) : NULL);
    to = PUT(to, "}\n");
    return (size_t)(to - ret_line);
}
