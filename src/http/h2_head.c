/* SPDX-License-Identifier: MIT */
#include "http/h2_head.h"

#include "base/check.h"
#include "http/h1_read.h"
#include "http/scan.h"

enum {
    FIELD_EXTRA_BYTES = 32, /* RFC 7541 section 4.1 */
    STATUS_DIGITS = 3,
    REQUEST_PSEUDO = 4, /* :method, :scheme, :authority, :path */
};

#define BIT(NAME) (UINT64_C(1) << FIELD_##NAME)

/* What speaks of an HTTP/1 connection and is malformed in HTTP/2 (RFC 9113 section 8.2.2). */
static const uint64_t of_connections = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                       BIT(TRANSFER_ENCODING) | BIT(UPGRADE);

/* A Cookie field that is not the first. */
struct h2_crumb {
    struct h2_crumb *next; /* the one before it */
    size_t length;
    char text[];
};

/* A head that comes. */

void h2_head_begin(struct h2_head *head, struct fields *fields, struct arena *arena,
                   size_t limit_bytes)
{
    *head = (struct h2_head){.arena = arena, .fields = fields, .limit_bytes = limit_bytes};
    fields_init(fields);
}

/* 0: it is none. */
static uint16_t status_of(struct weir_slice text)
{
    uint64_t number;
    if (text.len != STATUS_DIGITS || !slice_to_u64(text, &number))
        return 0;
    return (uint16_t)number;
}

/* Where the value of a pseudo-field is kept. NULL: it is none that is kept. */
static struct weir_slice *pseudo_slot(struct h2_head *head, struct weir_slice name)
{
    if (slice_equal(name, SLICE(":method")))
        return &head->method;
    if (slice_equal(name, SLICE(":path")))
        return &head->path;
    if (slice_equal(name, SLICE(":scheme")))
        return &head->scheme;
    if (slice_equal(name, SLICE(":authority")))
        return &head->authority;
    if (slice_equal(name, SLICE(":protocol")))
        return &head->protocol;
    return NULL;
}

/* nghttp2 lets pass no others, none twice, and none behind a regular field. */
static void add_pseudo(struct h2_head *head, struct weir_slice name, struct weir_slice value)
{
    if (slice_equal(name, SLICE(":status"))) {
        head->status = status_of(value);
        return;
    }
    struct weir_slice *slot = pseudo_slot(head, name);
    if (!slot)
        return;
    *slot = arena_copy(head->arena, value);
    if (!slot->at)
        head->err = WEIR_E_NO_MEMORY;
}

/* An empty one is left out: it would leave a space at an end, which no value may have. */
static void add_crumb(struct h2_head *head, struct weir_slice value, bool never_index)
{
    const struct field *first = fields_find(head->fields, FIELD_COOKIE);
    if (value.len == 0)
        return;
    struct h2_crumb *crumb = arena_alloc(head->arena, sizeof *crumb + value.len);
    if (!crumb) {
        head->err = WEIR_E_NO_MEMORY;
        return;
    }
    crumb->next = head->crumbs;
    crumb->length = value.len;
    memcpy(crumb->text, value.at, value.len);
    head->crumbs = crumb;
    head->crumb_bytes += value.len + SLICE("; ").len;
    head->fields->at[first - head->fields->at].never_index |= never_index;
}

static void add_regular(struct h2_head *head, struct weir_slice name, struct weir_slice value,
                        bool never_index)
{
    enum field_id id = field_id_of(name);
    if (id == FIELD_COOKIE && fields_have(head->fields, FIELD_COOKIE)) {
        add_crumb(head, value, never_index);
        return;
    }
    size_t name_bytes = id == FIELD_OTHER ? name.len : 0;
    char *text = arena_alloc(head->arena, name_bytes + value.len);
    if (!text) {
        head->err = WEIR_E_NO_MEMORY;
        return;
    }
    if (name_bytes > 0)
        memcpy(text, name.at, name_bytes);
    if (value.len > 0)
        memcpy(text + name_bytes, value.at, value.len);
    const struct field field = {
        .name = id == FIELD_OTHER ? slice_of(text, name_bytes) : field_name(id),
        .value = slice_of(text + name_bytes, value.len),
        .id = id,
        .never_index = never_index,
    };
    if (!fields_put(head->fields, field))
        head->err = WEIR_E_REQUEST_HEAD_LENGTH;
}

void h2_head_add(struct h2_head *head, struct weir_slice name, struct weir_slice value,
                 bool never_index)
{
    head->bytes += name.len + value.len + FIELD_EXTRA_BYTES;
    if (head->err)
        return;
    if (head->bytes > head->limit_bytes)
        head->err = slice_equal(name, SLICE(":path")) ? WEIR_E_REQUEST_TARGET_LENGTH
                                                      : WEIR_E_REQUEST_HEAD_LENGTH;
    else if (name.len > 0 && name.at[0] == ':')
        add_pseudo(head, name, value);
    else
        add_regular(head, name, value, never_index);
}

/* What it makes when it is whole. */

/* HTTP/1 has one Cookie field (RFC 9113 section 8.2.3). From the end, where the last crumb goes. */
static enum weir_err join_crumbs(struct h2_head *head)
{
    if (!head->crumbs)
        return WEIR_OK;
    const struct field *found = fields_find(head->fields, FIELD_COOKIE);
    struct field *cookie = &head->fields->at[found - head->fields->at];
    size_t length = cookie->value.len + head->crumb_bytes;
    char *text = arena_alloc(head->arena, length);
    if (!text)
        return WEIR_E_NO_MEMORY;
    char *at = text + length;
    for (const struct h2_crumb *crumb = head->crumbs; crumb; crumb = crumb->next) {
        at -= crumb->length;
        memcpy(at, crumb->text, crumb->length);
        at -= SLICE("; ").len;
        memcpy(at, "; ", SLICE("; ").len);
    }
    memcpy(text, cookie->value.at, cookie->value.len);
    cookie->value = slice_of(text, length);
    head->crumbs = NULL;
    return WEIR_OK;
}

static enum weir_err read_method(const struct h2_head *head, struct http_request *request)
{
    struct weir_slice method = head->method;
    if (method.len > METHOD_BYTES)
        return WEIR_E_REQUEST_METHOD;
    if (method.len == 0 || scan_name(method.at, method.at + method.len) != method.at + method.len)
        return WEIR_E_REQUEST_MALFORMED;
    request->method_text = method;
    request->method = http_method_of(method);
    return WEIR_OK;
}

static bool is_https(struct weir_slice scheme)
{
    return slice_equal_nocase(scheme, SLICE("https"));
}

static bool is_known_scheme(struct weir_slice scheme)
{
    return is_https(scheme) || slice_equal_nocase(scheme, SLICE("http"));
}

static enum weir_err read_target(const struct h2_head *head, struct http_request *request)
{
    bool connects = request->method == METHOD_CONNECT;
    struct weir_slice target = connects ? head->authority : head->path;
    struct h1_limits limits;
    h1_limits_init(&limits);
    if (target.len > limits.target_bytes)
        return WEIR_E_REQUEST_TARGET_LENGTH;
    if (target.len == 0 || scan_target(target.at, target.at + target.len) != target.at + target.len)
        return WEIR_E_REQUEST_MALFORMED;
    /* RFC 9113 section 8.5: CONNECT has nothing but the authority */
    if (connects && (head->scheme.at || head->path.at))
        return WEIR_E_REQUEST_MALFORMED;
    if (!connects && !is_known_scheme(head->scheme))
        return WEIR_E_REQUEST_MALFORMED;
    if (!connects && target.at[0] != '/' && !slice_equal(target, SLICE("*")))
        return WEIR_E_REQUEST_MALFORMED;
    request->target = target;
    return h1_fault_request_err(h1_read_target(request));
}

/* The same host and port, if one is left out where it is the scheme's (RFC 3986 section 6.2.3). */
static bool is_same_authority(struct weir_slice a, struct weir_slice b, struct weir_slice scheme)
{
    struct weir_slice host_a, host_b, port_a, port_b;
    uint64_t number_a = is_https(scheme) ? 443 : 80, number_b = number_a;
    if (slice_equal(a, b))
        return true;
    if (!http_authority_split(a, &host_a, &port_a) || !http_authority_split(b, &host_b, &port_b))
        return false;
    if (port_a.len > 0 && !slice_to_u64(port_a, &number_a))
        return false;
    if (port_b.len > 0 && !slice_to_u64(port_b, &number_b))
        return false;
    return slice_equal_nocase(host_a, host_b) && number_a == number_b;
}

static enum weir_err read_authority(const struct h2_head *head, struct http_request *request)
{
    const struct field *field = fields_find(&request->fields, FIELD_HOST);
    struct weir_slice given = head->authority, host, port;
    if (field)
        TRY(h1_fault_request_err(h1_read_host(request)));
    if (given.at && field && !is_same_authority(given, field->value, head->scheme))
        return WEIR_E_REQUEST_MALFORMED;
    request->authority = given.at ? given : field ? field->value : SLICE("");
    /* empty, it cannot be one of "http" or "https" (RFC 9110 section 4.2.1) */
    if (!http_authority_split(request->authority, &host, &port) || host.len == 0)
        return WEIR_E_REQUEST_MALFORMED;
    fields_remove(&request->fields, FIELD_HOST);
    return WEIR_OK;
}

/* RFC 8441 section 4. What HTTP/1 has in its place is a GET that asks for an upgrade. */
static enum weir_err read_protocol(const struct h2_head *head, struct http_request *request)
{
    if (request->method != METHOD_CONNECT)
        return WEIR_E_REQUEST_MALFORMED;
    if (!slice_equal(head->protocol, SLICE("websocket")))
        return WEIR_E_REQUEST_METHOD;
    request->extended = true;
    request->method = METHOD_GET;
    request->method_text = SLICE("GET");
    return WEIR_OK;
}

static enum weir_err read_request(struct h2_head *head, struct http_request *request)
{
    /* first: how an error is answered depends on the method too */
    enum weir_err method_err = read_method(head, request);
    TRY(head->err);
    TRY(method_err);
    if (request->fields.present & of_connections)
        return WEIR_E_REQUEST_MALFORMED;
    if (head->protocol.at)
        TRY(read_protocol(head, request));
    TRY(read_target(head, request));
    TRY(read_authority(head, request));
    return join_crumbs(head);
}

enum weir_err h2_head_request(struct h2_head *head, struct http_request *request)
{
    must(head->fields == &request->fields);
    memset(request, 0, offsetof(struct http_request, fields));
    request->protocol = HTTP_2;
    request->minor = 1;
    request->authority = head->authority;
    request->target = request->path = head->path;
    enum weir_err err = read_request(head, request);
    if (err)
        fields_init(&request->fields);
    return err;
}

static enum weir_err read_response(struct h2_head *head)
{
    if (head->err)
        return head->err == WEIR_E_NO_MEMORY ? WEIR_E_NO_MEMORY : WEIR_E_RESPONSE_HEAD_LENGTH;
    /* RFC 9113 section 8.6: there is no 101 */
    if (head->status < 100 || head->status > 599 || head->status == 101)
        return WEIR_E_RESPONSE_MALFORMED;
    if (head->fields->present & of_connections)
        return WEIR_E_RESPONSE_MALFORMED;
    return join_crumbs(head);
}

enum weir_err h2_head_response(struct h2_head *head, struct http_response *response)
{
    must(head->fields == &response->fields);
    response->protocol = HTTP_2;
    response->status = head->status;
    response->minor = 1;
    response->reason = http_reason(head->status);
    enum weir_err err = read_response(head);
    if (err)
        fields_init(&response->fields);
    return err;
}

enum weir_err h2_framing_of_request(const struct http_request *request, bool ended,
                                    struct http_framing *ret_framing)
{
    struct http_framing framing;
    TRY(h1_fault_request_err(framing_of_request(request, &framing)));
    if (ended && framing.length > 0)
        return WEIR_E_REQUEST_MALFORMED;
    if (!ended && framing.body == BODY_NONE)
        framing.body = BODY_CHUNKED;
    *ret_framing = framing;
    return WEIR_OK;
}

enum weir_err h2_framing_of_response(const struct http_response *response,
                                     enum http_method request_method, bool ended,
                                     struct http_framing *ret_framing)
{
    struct http_framing framing;
    TRY(h1_fault_response_err(framing_of_response(response, request_method, &framing)));
    if (ended && framing.length > 0)
        return WEIR_E_RESPONSE_MALFORMED;
    if (framing.body == BODY_UNTIL_CLOSE)
        framing.body = ended ? BODY_LENGTH : BODY_CHUNKED;
    framing.doubtful = false; /* frames leave nobody in doubt */
    *ret_framing = framing;
    return WEIR_OK;
}

/* A head that goes. */

struct writer {
    struct h2_lines lines;
    char *text; /* where copies go; NULL: there are none */
};

/* One allocation for the lines, `text_bytes` and what is copied. */
static bool writer_init(struct writer *writer, const struct fields *fields, size_t pseudo,
                        size_t text_bytes, bool copies, struct arena *arena)
{
    size_t lines_bytes = (fields->count + pseudo) * sizeof(nghttp2_nv);
    if (copies)
        fields_each (field, fields)
            text_bytes += field->name.len + field->value.len;
    char *at = arena_alloc(arena, lines_bytes + text_bytes);
    if (!at)
        return false;
    writer->lines = (struct h2_lines){.at = (nghttp2_nv *)(void *)at, .count = 0};
    writer->text = at + lines_bytes;
    return true;
}

static struct weir_slice put_text(struct writer *writer, struct weir_slice text)
{
    char *at = writer->text;
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    writer->text += text.len;
    return slice_of(at, text.len);
}

/* nghttp2 only reads what its types let it write. */
static void put_line(struct writer *writer, struct weir_slice name, struct weir_slice value,
                     uint8_t flags)
{
    writer->lines.at[writer->lines.count++] = (nghttp2_nv){
        .name = (uint8_t *)name.at,
        .value = (uint8_t *)value.at,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = flags,
    };
}

/* What is not copied by nghttp2 stays until it was sent, or is never read. */
enum { STAYS = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };

static void put_pseudo(struct writer *writer, struct weir_slice name, struct weir_slice value)
{
    put_line(writer, name, value, STAYS);
}

static bool is_lower(struct weir_slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] != slice_lower(name.at[i]))
            return false;
    return true;
}

static struct weir_slice put_lower(struct writer *writer, struct weir_slice name)
{
    char *at = writer->text;
    for (size_t i = 0; i < name.len; i++)
        at[i] = slice_lower(name.at[i]);
    writer->text += name.len;
    return slice_of(at, name.len);
}

static const uint64_t left_out = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                 BIT(TRANSFER_ENCODING) | BIT(UPGRADE) | BIT(HTTP2_SETTINGS) |
                                 BIT(HOST);

static bool has_trailers(struct weir_slice te)
{
    struct weir_slice member;
    while (field_list_next(&te, &member))
        if (slice_equal_nocase(member, SLICE("trailers")))
            return true;
    return false;
}

/*
 * How the text of a head's lines lives: copied here, to stay; where it is, which stays; or as long
 * as the call, so that nghttp2 must copy it. A name that it copies it writes in lower case.
 */
enum text_life { TEXT_COPIED, TEXT_STAYS, TEXT_PASSES };

static void put_field(struct writer *writer, const struct field *field, enum text_life life)
{
    struct weir_slice name = field->name, value = field->value;
    unsigned flags = field->never_index ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
    if (field->id != FIELD_OTHER)
        name = field_name(field->id);
    else if (life == TEXT_COPIED)
        name = put_lower(writer, name);
    if (field->id != FIELD_OTHER || life == TEXT_COPIED || (life == TEXT_STAYS && is_lower(name)))
        flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME;
    if (field->id == FIELD_TE)
        value = SLICE("trailers");
    else if (life == TEXT_COPIED)
        value = put_text(writer, value);
    if (field->id == FIELD_TE || life != TEXT_PASSES)
        flags |= NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    put_line(writer, name, value, (uint8_t)flags);
}

static void put_fields(struct writer *writer, const struct fields *fields, enum text_life life)
{
    fields_each (field, fields) {
        if ((left_out >> field->id) & 1)
            continue;
        if (field->id == FIELD_TE && !has_trailers(field->value))
            continue;
        put_field(writer, field, life);
    }
}

enum weir_err h2_lines_of_request(const struct http_request *request, struct weir_slice scheme,
                                  struct arena *arena, struct h2_lines *ret_lines)
{
    struct writer writer;
    if (!writer_init(&writer, &request->fields, REQUEST_PSEUDO, 0, false, arena))
        return WEIR_E_NO_MEMORY;
    put_pseudo(&writer, SLICE(":method"), request->method_text);
    if (request->form != TARGET_AUTHORITY)
        put_pseudo(&writer, SLICE(":scheme"), scheme);
    if (request->authority.len > 0)
        put_pseudo(&writer, SLICE(":authority"), request->authority);
    if (request->form != TARGET_AUTHORITY)
        put_pseudo(&writer, SLICE(":path"), request->path);
    put_fields(&writer, &request->fields, TEXT_STAYS);
    *ret_lines = writer.lines;
    return WEIR_OK;
}

enum weir_err h2_lines_of_response(const struct http_response *response, bool copies,
                                   struct arena *arena, struct h2_lines *ret_lines)
{
    struct writer writer;
    unsigned status = response->status;
    const char digits[STATUS_DIGITS] = {
        (char)('0' + status / 100 % 10),
        (char)('0' + status / 10 % 10),
        (char)('0' + status % 10),
    };
    if (!writer_init(&writer, &response->fields, 1, STATUS_DIGITS, copies, arena))
        return WEIR_E_NO_MEMORY;
    put_pseudo(&writer, SLICE(":status"), put_text(&writer, slice_of(digits, STATUS_DIGITS)));
    put_fields(&writer, &response->fields, copies ? TEXT_COPIED : TEXT_PASSES);
    *ret_lines = writer.lines;
    return WEIR_OK;
}

enum weir_err h2_lines_of_trailers(const struct fields *trailers, struct arena *arena,
                                   struct h2_lines *ret_lines)
{
    struct writer writer;
    if (!writer_init(&writer, trailers, 0, 0, false, arena))
        return WEIR_E_NO_MEMORY;
    put_fields(&writer, trailers, TEXT_PASSES);
    *ret_lines = writer.lines;
    return WEIR_OK;
}
