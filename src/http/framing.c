/* SPDX-License-Identifier: MIT */
#include "http/framing.h"

/* What the fields say before anyone judges which of them counts. */
struct lengths {
    bool has_length;
    bool has_coding;
    uint64_t length;
};

/*
 * Content-Length: one field with one number. RFC 9110 section 8.6 allows to take "5, 5" for 5; we
 * do not, because readers that take the first and readers that take the last are both about.
 * Numbers of 2^63 and more are negative to some.
 */
static enum h1_fault read_content_length(const struct fields *fields, struct lengths *lengths)
{
    if (!fields_have(fields, FIELD_CONTENT_LENGTH))
        return H1_FAULT_NONE;
    fields_each (field, fields) {
        if (field->id != FIELD_CONTENT_LENGTH)
            continue;
        if (lengths->has_length || slice_find(field->value, ',') < field->value.len)
            return H1_FAULT_LENGTH_DOUBLED;
        if (!slice_to_u64(field->value, &lengths->length) || lengths->length > INT64_MAX)
            return H1_FAULT_LENGTH;
        lengths->has_length = true;
    }
    return H1_FAULT_NONE;
}

/* One Transfer-Encoding field; *chunked tells whether "chunked" was seen, before and after. */
static enum h1_fault read_codings(struct weir_slice value, bool *chunked)
{
    for (bool more = true; more;) {
        size_t comma = slice_find(value, ',');
        struct weir_slice coding = slice_trim(slice_of(value.at, comma));
        bool is_chunked = slice_equal_nocase(coding, SLICE("chunked"));
        more = comma < value.len;
        if (more)
            value = slice_skip(value, comma + 1);
        if (coding.len == 0)
            return H1_FAULT_CODING_EMPTY;
        if (*chunked)
            return is_chunked ? H1_FAULT_CODING_DOUBLED : H1_FAULT_CODING_ORDER;
        if (!is_chunked)
            return H1_FAULT_CODING;
        *chunked = true;
    }
    return H1_FAULT_NONE;
}

/*
 * Transfer-Encoding: "chunked", once, and nothing else. Empty members are refused although lists
 * may have them (RFC 9110 section 5.6.1.2), because ", chunked" hides the coding from some readers.
 */
static enum h1_fault read_transfer_encoding(const struct fields *fields, struct lengths *lengths)
{
    if (!fields_have(fields, FIELD_TRANSFER_ENCODING))
        return H1_FAULT_NONE;
    fields_each (field, fields) {
        if (field->id != FIELD_TRANSFER_ENCODING)
            continue;
        enum h1_fault fault = read_codings(field->value, &lengths->has_coding);
        if (fault != H1_FAULT_NONE)
            return fault;
    }
    return H1_FAULT_NONE;
}

enum h1_fault framing_of_request(const struct http_request *request,
                                 struct http_framing *ret_framing)
{
    struct lengths lengths = {0};
    enum h1_fault fault = read_transfer_encoding(&request->fields, &lengths);
    if (fault != H1_FAULT_NONE)
        return fault;
    /* RFC 9112 section 6.1: faulty framing, whatever else is said */
    if (lengths.has_coding && request->minor == 0)
        return H1_FAULT_CODING_VERSION;
    if (lengths.has_coding && fields_have(&request->fields, FIELD_CONTENT_LENGTH))
        return H1_FAULT_LENGTH_AND_CODING;
    fault = read_content_length(&request->fields, &lengths);
    if (fault != H1_FAULT_NONE)
        return fault;

    struct http_framing framing = {.body = BODY_NONE};
    if (lengths.has_coding)
        framing.body = BODY_CHUNKED;
    else if (lengths.has_length)
        framing = (struct http_framing){.body = BODY_LENGTH, .length = lengths.length};
    *ret_framing = framing;
    return H1_FAULT_NONE;
}

/* Responses that end with their head or never end, whatever their fields say. */
static bool has_no_body(const struct http_response *response, enum http_method request_method)
{
    return request_method == METHOD_HEAD || response->status < 200 || response->status == 204 ||
           response->status == 304;
}

static bool is_tunnel(const struct http_response *response, enum http_method request_method)
{
    bool is_success = response->status >= 200 && response->status < 300;
    return response->status == 101 || (request_method == METHOD_CONNECT && is_success);
}

/* 1xx and 204 must not speak of a body (RFC 9110 section 8.6): another reader might wait for it. */
static bool promises_forbidden_body(const struct http_response *response,
                                    const struct lengths *lengths)
{
    bool forbidden = response->status < 200 || response->status == 204;
    return forbidden &&
           (lengths->length > 0 || fields_have(&response->fields, FIELD_TRANSFER_ENCODING));
}

enum h1_fault framing_of_response(const struct http_response *response,
                                  enum http_method request_method, struct http_framing *ret_framing)
{
    struct lengths lengths = {0};
    struct http_framing framing = {.body = BODY_UNTIL_CLOSE};
    /* before all else: a broken one must not go on to the client either */
    enum h1_fault fault = read_content_length(&response->fields, &lengths);
    if (fault != H1_FAULT_NONE)
        return fault;

    if (is_tunnel(response, request_method)) {
        framing.body = BODY_TUNNEL;
    } else if (has_no_body(response, request_method)) {
        framing.body = BODY_NONE;
        framing.doubtful = promises_forbidden_body(response, &lengths);
    } else if (fields_have(&response->fields, FIELD_TRANSFER_ENCODING)) {
        fault = read_transfer_encoding(&response->fields, &lengths);
        framing.body = BODY_CHUNKED;
        framing.doubtful = lengths.has_length || response->minor == 0;
    } else if (lengths.has_length) {
        framing.body = BODY_LENGTH;
        framing.length = lengths.length;
    }
    if (fault == H1_FAULT_NONE)
        *ret_framing = framing;
    return fault;
}

static void read_connection(struct weir_slice value, struct http_persistence *persistence)
{
    struct weir_slice option;
    while (field_list_next(&value, &option)) {
        persistence->close |= slice_equal_nocase(option, SLICE("close"));
        persistence->keep_alive |= slice_equal_nocase(option, SLICE("keep-alive"));
        persistence->upgrade |= slice_equal_nocase(option, SLICE("upgrade"));
    }
}

/* "name=digits" of Keep-Alive; the least counts when it is said more than once. */
static void read_parameter(struct weir_slice member, struct weir_slice name, bool *has,
                           uint64_t *number)
{
    uint64_t value;
    size_t equals = slice_find(member, '=');
    if (equals == member.len ||
        !slice_equal_nocase(slice_trim(slice_of(member.at, equals)), name) ||
        !slice_to_u64(slice_trim(slice_skip(member, equals + 1)), &value))
        return;
    *number = *has && *number < value ? *number : value;
    *has = true;
}

static void read_keep_alive(struct weir_slice value, struct http_persistence *persistence)
{
    struct weir_slice member;
    while (field_list_next(&value, &member)) {
        read_parameter(member, SLICE("timeout"), &persistence->has_timeout,
                       &persistence->timeout_s);
        read_parameter(member, SLICE("max"), &persistence->has_max, &persistence->max);
    }
}

void framing_persistence(const struct fields *fields, struct http_persistence *ret_persistence)
{
    *ret_persistence = (struct http_persistence){0};
    if (!fields_have(fields, FIELD_CONNECTION) && !fields_have(fields, FIELD_KEEP_ALIVE))
        return;
    fields_each (field, fields) {
        if (field->id == FIELD_CONNECTION)
            read_connection(field->value, ret_persistence);
        if (field->id == FIELD_KEEP_ALIVE)
            read_keep_alive(field->value, ret_persistence);
    }
}

bool framing_persists(uint8_t minor, const struct http_persistence *persistence)
{
    if (persistence->close)
        return false;
    return minor > 0 || persistence->keep_alive;
}
