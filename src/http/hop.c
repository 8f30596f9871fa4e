/* SPDX-License-Identifier: MIT */
#include "http/hop.h"

#include "base/check.h"
#include "http/message.h"
#define BIT(NAME) (UINT64_C(1) << FIELD_##NAME)

/* What Connection cannot take out by naming it. TE and Upgrade have rules of their own. */
static const uint64_t not_by_name =
    BIT(HOST) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(VIA) | BIT(FORWARDED) |
    BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_HOST) | BIT(X_FORWARDED_PROTO) | BIT(TE) | BIT(UPGRADE) |
    BIT(CONNECTION) | BIT(CLIENT_CERT) | BIT(CLIENT_CERT_CHAIN);

static void remove_named(struct fields *fields, struct weir_slice name)
{
    enum field_id id = field_id_of(name);
    if ((not_by_name >> id) & 1)
        return;
    if (id != FIELD_OTHER) {
        fields_remove(fields, id);
        return;
    }
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->at[i].name, name))
            fields_remove_at(fields, i);
}

bool hop_remove_connection(struct fields *fields)
{
    unsigned count = 0;
    if (!fields_have(fields, FIELD_CONNECTION))
        return true;
    for (uint32_t i = 0; i < fields->count; i++) {
        struct weir_slice rest = fields->at[i].value, name;
        if (fields->at[i].id != FIELD_CONNECTION)
            continue;
        while (field_list_next(&rest, &name)) {
            if (++count > HOP_NAMES_MAX)
                return false;
            remove_named(fields, name);
        }
    }
    fields_remove(fields, FIELD_CONNECTION);
    return true;
}

static enum weir_err put_in(bool added)
{
    return added ? WEIR_OK : WEIR_E_REQUEST_HEAD_LENGTH;
}

static struct field *find_to_edit(struct fields *fields, enum field_id id)
{
    const struct field *field = fields_find(fields, id);
    return field ? &fields->at[field - fields->at] : NULL;
}

/* Said anew, so that the server reads the very framing that weir read. */
static enum weir_err set_framing(struct fields *fields, const struct http_framing *framing,
                                 struct arena *arena)
{
    fields_remove(fields, FIELD_CONTENT_LENGTH);
    fields_remove(fields, FIELD_TRANSFER_ENCODING);
    if (framing->body == BODY_LENGTH) {
        enum weir_err err = message_set_length(fields, framing->length, arena);
        return err == WEIR_E_LIMIT ? WEIR_E_REQUEST_HEAD_LENGTH : err;
    }
    if (framing->body == BODY_CHUNKED)
        return put_in(fields_add_known(fields, FIELD_TRANSFER_ENCODING, SLICE("chunked")));
    return WEIR_OK;
}

static enum weir_err set_connection(struct fields *fields, bool trailers, bool upgrade)
{
    struct weir_slice options = SLICE("TE");
    if (!trailers && !upgrade)
        return WEIR_OK;
    if (upgrade)
        options = trailers ? SLICE("upgrade, TE") : SLICE("upgrade");
    return put_in(fields_add_known(fields, FIELD_CONNECTION, options));
}

/* TE shrinks to "trailers", the one member that does not speak of our own connection. */
static enum weir_err set_te(struct fields *fields, bool trailers)
{
    fields_remove(fields, FIELD_TE);
    if (!trailers)
        return WEIR_OK;
    return put_in(fields_add_known(fields, FIELD_TE, SLICE("trailers")));
}

static enum weir_err set_host(struct http_request *request)
{
    struct field *host = find_to_edit(&request->fields, FIELD_HOST);
    if (!host)
        return put_in(fields_add_known(&request->fields, FIELD_HOST, request->authority));
    host->value = request->authority;
    return WEIR_OK;
}

/* As one more line, which is the same as one more member (RFC 9110 section 5.3). */
static bool add_via(struct fields *fields, enum http_protocol protocol, uint8_t minor)
{
    struct weir_slice via = protocol == HTTP_2 ? SLICE("2 weir")
                            : minor == 0       ? SLICE("1.0 weir")
                                               : SLICE("1.1 weir");
    return fields_add_known(fields, FIELD_VIA, via);
}

static size_t joined_bytes(const struct fields *fields, enum field_id id)
{
    size_t bytes = 0;
    fields_each (field, fields)
        if (field->id == id)
            bytes += field->value.len + SLICE(", ").len;
    return bytes;
}

/*
 * All lines of `id` and `last` as one list in one line: many a server reads only the first or the
 * last line of X-Forwarded-For, and would believe the wrong one.
 */
static enum weir_err join_list(struct fields *fields, enum field_id id, struct weir_slice last,
                               struct arena *arena)
{
    char *text = arena_alloc(arena, joined_bytes(fields, id) + last.len);
    size_t length = 0;
    if (!text)
        return WEIR_E_NO_MEMORY;
    fields_each (field, fields) {
        if (field->id != id || field->value.len == 0)
            continue;
        memcpy(text + length, field->value.at, field->value.len);
        length += field->value.len;
        memcpy(text + length, ", ", 2);
        length += 2;
    }
    memcpy(text + length, last.at, last.len);
    fields_remove(fields, id);
    return put_in(fields_add_known(fields, id, slice_of(text, length + last.len)));
}

static enum weir_err add_if_absent(struct fields *fields, enum field_id id, struct weir_slice value)
{
    if (value.len == 0 || fields_have(fields, id))
        return WEIR_OK;
    return put_in(fields_add_known(fields, id, value));
}

static enum weir_err add_forwarding(struct http_request *request, const struct hop_from *from,
                                    struct arena *arena)
{
    struct fields *fields = &request->fields;
    if (from->client_address.len > 0)
        TRY(join_list(fields, FIELD_X_FORWARDED_FOR, from->client_address, arena));
    TRY(add_if_absent(fields, FIELD_X_FORWARDED_PROTO, from->scheme));
    return add_if_absent(fields, FIELD_X_FORWARDED_HOST, request->authority);
}

/* RFC 9110 section 10.1.1: whoever speaks HTTP/1.0 cannot be sent a 100. */
static bool expects_continue(const struct http_request *request)
{
    const struct field *expect = fields_find(&request->fields, FIELD_EXPECT);
    return expect && request->minor > 0 && slice_equal_nocase(expect->value, SLICE("100-continue"));
}

enum weir_err hop_request(struct http_request *request, const struct http_framing *framing,
                          bool upgrade, const struct hop_from *from, struct arena *arena)
{
    struct fields *fields = &request->fields;
    bool trailers = fields_list_has(fields, FIELD_TE, SLICE("trailers"));
    if (!hop_remove_connection(fields))
        return WEIR_E_REQUEST_HEAD_LENGTH;
    fields_remove(fields, FIELD_KEEP_ALIVE);
    fields_remove(fields, FIELD_PROXY_CONNECTION);
    fields_remove(fields, FIELD_HTTP2_SETTINGS);
    if (!upgrade)
        fields_remove(fields, FIELD_UPGRADE);
    if (!expects_continue(request))
        fields_remove(fields, FIELD_EXPECT);
    TRY(set_host(request));
    TRY(set_te(fields, trailers));
    TRY(set_connection(fields, trailers, upgrade));
    TRY(set_framing(fields, framing, arena));
    TRY(put_in(add_via(fields, request->protocol, request->minor)));
    return add_forwarding(request, from, arena);
}

enum weir_err hop_own_request(struct http_request *request, const struct http_framing *framing,
                              struct arena *arena)
{
    TRY(set_host(request));
    return set_framing(&request->fields, framing, arena);
}

enum weir_err hop_response(struct http_response *response, bool upgrade, struct arena *arena)
{
    struct fields *fields = &response->fields;
    (void)arena; /* kept in the contract for what later has to be made */
    if (!hop_remove_connection(fields))
        return WEIR_E_RESPONSE_HEAD_LENGTH;
    fields_remove(fields, FIELD_KEEP_ALIVE);
    fields_remove(fields, FIELD_PROXY_CONNECTION);
    fields_remove(fields, FIELD_TE);
    if (fields_have(fields, FIELD_TRANSFER_ENCODING))
        fields_remove(fields, FIELD_CONTENT_LENGTH);
    fields_remove(fields, FIELD_TRANSFER_ENCODING);
    if (!upgrade)
        fields_remove(fields, FIELD_UPGRADE);
    if (upgrade && !fields_add_known(fields, FIELD_CONNECTION, SLICE("upgrade")))
        return WEIR_E_RESPONSE_HEAD_LENGTH;
    return add_via(fields, response->protocol, response->minor) ? WEIR_OK
                                                                : WEIR_E_RESPONSE_HEAD_LENGTH;
}

/* Known fields that must not be in trailers: framing, routing, authentication, control. */
static const uint64_t not_in_trailers =
    BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) | BIT(TE) | BIT(TRAILER) |
    BIT(UPGRADE) | BIT(HTTP2_SETTINGS) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(HOST) |
    BIT(EXPECT) | BIT(CONTENT_TYPE) | BIT(COOKIE) | BIT(DATE) | BIT(VIA) | BIT(FORWARDED) |
    BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_HOST) | BIT(X_FORWARDED_PROTO) |
    BIT(PROXY_AUTHENTICATE) | BIT(PROXY_AUTHORIZATION) | BIT(WWW_AUTHENTICATE) |
    BIT(IDEMPOTENCY_KEY) | BIT(CLIENT_CERT) | BIT(CLIENT_CERT_CHAIN);

static const struct weir_slice names_not_in_trailers[] = {
    {"age", 3},
    {"authorization", 13},
    {"cache-control", 13},
    {"content-encoding", 16},
    {"content-range", 13},
    {"expires", 7},
    {"location", 8},
    {"max-forwards", 12},
    {"pragma", 6},
    {"range", 5},
    {"retry-after", 11},
    {"set-cookie", 10},
    {"vary", 4},
};

static bool is_kept_in_trailers(const struct field *field)
{
    if ((not_in_trailers >> field->id) & 1)
        return false;
    for (size_t i = 0; i < COUNT_OF(names_not_in_trailers); i++)
        if (slice_equal_nocase(field->name, names_not_in_trailers[i]))
            return false;
    return true;
}

void hop_trailers(struct fields *trailers)
{
    for (uint32_t i = 0; i < trailers->count; i++)
        if (!is_kept_in_trailers(&trailers->at[i]))
            fields_remove_at(trailers, i);
}
