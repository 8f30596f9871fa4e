/* SPDX-License-Identifier: MIT */
#include "http/message.h"

#include "base/check.h"
#include "http/scan.h"
#include "io/loop.h"

/* Of a request of one's own: its fields, with all that are set one after the other. */
enum { REQUEST_BYTES = 256 * 1024, LENGTH_DIGITS = 20 };

#define BIT(NAME) (UINT64_C(1) << FIELD_##NAME)

/* What frames a message, speaks of its connection, or has a function of its own. */
static const uint64_t reserved = BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(CONNECTION) |
                                 BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) | BIT(UPGRADE) | BIT(TE) |
                                 BIT(HTTP2_SETTINGS) | BIT(HOST);

bool message_is_reserved(enum field_id id)
{
    return (reserved >> id) & 1;
}

/* Fields. */

struct weir_slice weir_fields_get(const struct weir_fields *fields, const char *name)
{
    const struct field *field = fields_find_name(fields->list, weir_str(name));
    return field ? field->value : (struct weir_slice){NULL, 0};
}

bool weir_fields_next(const struct weir_fields *fields, unsigned *cursor,
                      struct weir_slice *ret_name, struct weir_slice *ret_value)
{
    const struct fields *list = fields->list;
    while (*cursor < list->count) {
        const struct field *field = &list->at[(*cursor)++];
        if (field->name.len == 0)
            continue;
        *ret_name = field->name;
        *ret_value = field->value;
        return true;
    }
    return false;
}

/* A field of one's own, in the arena. */
static enum weir_err make_field(struct weir_fields *fields, struct weir_slice name,
                                struct weir_slice value, struct field *ret_field)
{
    must(fields->arena); /* else it is only read */
    enum field_id id = field_id_of(name);
    value = slice_trim(value);
    if (!field_is_name(name) || !field_is_value(value) || message_is_reserved(id))
        return WEIR_E_FIELD;
    struct weir_slice copy = arena_copy(fields->arena, value);
    name = arena_copy(fields->arena, name);
    if (!name.at || !copy.at)
        return WEIR_E_NO_MEMORY;
    *ret_field = (struct field){name, copy, id, false};
    return WEIR_OK;
}

static bool is_named(const struct field *field, enum field_id id, struct weir_slice name)
{
    if (field->id != id)
        return false;
    return id != FIELD_OTHER || slice_equal_nocase(field->name, name);
}

static void remove_from(struct fields *list, uint32_t first, enum field_id id,
                        struct weir_slice name)
{
    for (uint32_t i = first; i < list->count; i++)
        if (is_named(&list->at[i], id, name))
            fields_remove_at(list, i);
}

/* Without the places of what was removed. */
static void close_gaps(struct fields *list)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++)
        if (list->at[i].name.len > 0)
            list->at[count++] = list->at[i];
    list->count = count;
}

static enum weir_err add_field(struct fields *list, struct field field)
{
    if (list->count == FIELDS_MAX)
        close_gaps(list);
    return fields_put(list, field) ? WEIR_OK : WEIR_E_LIMIT;
}

enum weir_err weir_fields_set(struct weir_fields *fields, const char *name, struct weir_slice value)
{
    struct fields *list = fields->list;
    struct field field;
    TRY(make_field(fields, weir_str(name), value, &field));
    const struct field *found = fields_find_name(list, field.name);
    if (!found)
        return add_field(list, field);
    uint32_t at = (uint32_t)(found - list->at);
    list->at[at] = field;
    remove_from(list, at + 1, field.id, field.name);
    return WEIR_OK;
}

enum weir_err weir_fields_add(struct weir_fields *fields, const char *name, struct weir_slice value)
{
    struct field field;
    TRY(make_field(fields, weir_str(name), value, &field));
    return add_field(fields->list, field);
}

void weir_fields_remove(struct weir_fields *fields, const char *name)
{
    enum field_id id = field_id_of(weir_str(name));
    must(fields->arena);
    if (!message_is_reserved(id))
        remove_from(fields->list, 0, id, weir_str(name));
}

/* Requests. */

/* A token. A CONNECT is none of ours to make: what follows it is no exchange. */
static bool is_method(struct weir_slice method)
{
    return method.len <= METHOD_BYTES && field_is_name(method) &&
           http_method_of(method) != METHOD_CONNECT;
}

/* RFC 9112 section 3.2: "*" belongs to OPTIONS. */
static bool is_path_of(enum http_method method, struct weir_slice path)
{
    if (slice_equal(path, SLICE("*")))
        return method == METHOD_OPTIONS;
    if (path.len == 0 || path.at[0] != '/')
        return false;
    const char *end = path.at + path.len;
    return scan_target(path.at, end) == end;
}

/* Empty is fine: there is none then (RFC 9110 section 7.2). */
static bool is_authority(struct weir_slice authority)
{
    struct weir_slice host, port;
    return authority.len == 0 || (http_authority_split(authority, &host, &port) && host.len > 0);
}

struct weir_slice weir_request_method(const struct weir_request *request)
{
    return request->http->method_text;
}

struct weir_slice weir_request_authority(const struct weir_request *request)
{
    return request->http->authority;
}

struct weir_slice weir_request_path(const struct weir_request *request)
{
    return request->http->path;
}

struct weir_fields *weir_request_fields(struct weir_request *request)
{
    return &request->fields;
}

static enum weir_err copy_text(const struct weir_request *request, struct weir_slice text,
                               struct weir_slice *ret_text)
{
    must(request->fields.arena);
    struct weir_slice copy = arena_copy(request->fields.arena, text);
    if (!copy.at)
        return WEIR_E_NO_MEMORY;
    *ret_text = copy;
    return WEIR_OK;
}

enum weir_err weir_request_set_method(struct weir_request *request, struct weir_slice method)
{
    struct http_request *http = request->http;
    enum http_method known = http_method_of(method);
    if (!is_method(method) || !is_path_of(known, http->path))
        return WEIR_E_FIELD;
    TRY(copy_text(request, method, &http->method_text));
    http->method = known;
    return WEIR_OK;
}

enum weir_err weir_request_set_authority(struct weir_request *request, struct weir_slice authority)
{
    struct http_request *http = request->http;
    const struct field *host = fields_find(&http->fields, FIELD_HOST);
    if (!is_authority(authority) || http->form == TARGET_AUTHORITY)
        return WEIR_E_FIELD;
    TRY(copy_text(request, authority, &http->authority));
    if (host)
        http->fields.at[host - http->fields.at].value = http->authority;
    return WEIR_OK;
}

enum weir_err weir_request_set_path(struct weir_request *request, struct weir_slice path)
{
    struct http_request *http = request->http;
    if (!is_path_of(http->method, path))
        return WEIR_E_FIELD;
    TRY(copy_text(request, path, &http->path));
    http->form = path.at[0] == '*' ? TARGET_ASTERISK : TARGET_ORIGIN;
    return WEIR_OK;
}

void message_of_request(struct weir_request *ret_view, struct http_request *request,
                        struct arena *arena)
{
    *ret_view = (struct weir_request){.http = request, .fields = {&request->fields, arena}};
}

/* As it is before its parts are set: all that a part is checked against is fine. */
static struct http_request *blank_request(struct arena *arena)
{
    struct http_request *http = arena_alloc(arena, sizeof *http);
    if (!http)
        return NULL;
    memset(http, 0, offsetof(struct http_request, fields));
    http->minor = 1;
    http->path = SLICE("/");
    fields_init(&http->fields);
    return http;
}

/* In its own arena, which it becomes the owner of. */
static struct weir_request *own_request(struct arena *arena, struct http_request *http)
{
    struct weir_request *request = arena_alloc(arena, sizeof *request);
    if (!request)
        return NULL;
    message_of_request(request, http, &request->own);
    arena_move(&request->own, arena);
    return request;
}

enum weir_err message_own_request(const struct http_request *from,
                                  struct weir_request **ret_request)
{
    struct arena arena;
    arena_init(&arena, &loop_here()->arenas, REQUEST_BYTES);
    struct http_request *http = from ? message_copy_request(from, &arena) : blank_request(&arena);
    struct weir_request *request = http ? own_request(&arena, http) : NULL;
    if (!request) {
        arena_fini(&arena);
        return WEIR_E_NO_MEMORY;
    }
    *ret_request = request;
    return WEIR_OK;
}

static enum weir_err set_line(struct weir_request *request, const char *method,
                              const char *authority, const char *path)
{
    TRY(weir_request_set_method(request, weir_str(method)));
    TRY(weir_request_set_authority(request, weir_str(authority)));
    TRY(weir_request_set_path(request, weir_str(path)));
    request->http->target = request->http->path;
    return WEIR_OK;
}

enum weir_err weir_request_new(const char *method, const char *authority, const char *path,
                               struct weir_request **ret_request)
{
    struct weir_request *request;
    TRY(message_own_request(NULL, &request));
    enum weir_err err = set_line(request, method, authority, path);
    if (err)
        weir_request_free(&request);
    else
        *ret_request = request;
    return err;
}

void weir_request_free(struct weir_request **request)
{
    struct arena own;
    if (!*request)
        return;
    must((*request)->own.cache); /* else it is somebody else's, and this a view */
    arena_move(&own, &(*request)->own);
    arena_fini(&own);
    *request = NULL;
}

/* Responses. */

unsigned weir_response_status(const struct weir_response *response)
{
    return response->http->status;
}

enum weir_err weir_response_set_status(struct weir_response *response, unsigned status)
{
    if (status < 200 || status > 599)
        return WEIR_E_FIELD;
    response->http->status = (uint16_t)status;
    response->http->reason = http_reason((uint16_t)status);
    return WEIR_OK;
}

struct weir_fields *weir_response_fields(struct weir_response *response)
{
    return &response->fields;
}

void message_of_response(struct weir_response *ret_view, struct http_response *response,
                         struct arena *arena)
{
    *ret_view = (struct weir_response){.http = response, .fields = {&response->fields, arena}};
}

struct http_response *message_new_response(struct arena *arena, unsigned status)
{
    struct http_response *http = arena_alloc(arena, sizeof *http);
    if (!http)
        return NULL;
    *http = (struct http_response){.status = (uint16_t)status, .minor = 1};
    http->reason = http_reason(http->status);
    return http;
}

/* Copies. */

static bool copy_fields(const struct fields *from, struct arena *arena, struct fields *ret_to)
{
    fields_init(ret_to);
    fields_each (field, from) {
        struct field copy = *field;
        copy.name = arena_copy(arena, field->name);
        copy.value = arena_copy(arena, field->value);
        if (!copy.name.at || !copy.value.at || !fields_put(ret_to, copy))
            return false;
    }
    return true;
}

struct http_request *message_copy_request(const struct http_request *request, struct arena *arena)
{
    struct http_request *copy = arena_alloc(arena, sizeof *copy);
    if (!copy)
        return NULL;
    memcpy(copy, request, offsetof(struct http_request, fields));
    struct weir_slice *texts[] = {&copy->method_text, &copy->target, &copy->scheme,
                                  &copy->authority, &copy->path};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        *texts[i] = arena_copy(arena, *texts[i]);
        if (!texts[i]->at)
            return NULL;
    }
    return copy_fields(&request->fields, arena, &copy->fields) ? copy : NULL;
}

struct http_response *message_copy_response(const struct http_response *response,
                                            struct arena *arena)
{
    struct http_response *copy = arena_alloc(arena, sizeof *copy);
    if (!copy)
        return NULL;
    memcpy(copy, response, offsetof(struct http_response, fields));
    copy->reason = arena_copy(arena, response->reason);
    return copy->reason.at && copy_fields(&response->fields, arena, &copy->fields) ? copy : NULL;
}

/* Lengths. */

enum weir_err message_set_length(struct fields *fields, uint64_t bytes, struct arena *arena)
{
    char *text = arena_alloc(arena, LENGTH_DIGITS);
    size_t at = LENGTH_DIGITS;
    if (!text)
        return WEIR_E_NO_MEMORY;
    do {
        text[--at] = (char)('0' + bytes % 10);
        bytes /= 10;
    } while (bytes > 0);
    fields_remove(fields, FIELD_CONTENT_LENGTH);
    struct weir_slice digits = slice_of(text + at, LENGTH_DIGITS - at);
    return fields_add_known(fields, FIELD_CONTENT_LENGTH, digits) ? WEIR_OK : WEIR_E_LIMIT;
}

uint64_t message_body_bytes(const struct http_framing *framing)
{
    if (framing->body == BODY_NONE)
        return WEIR_BODY_NONE;
    return framing->body == BODY_LENGTH ? framing->length : WEIR_BODY_UNKNOWN;
}

struct http_framing message_framing(uint64_t body_bytes)
{
    if (body_bytes == WEIR_BODY_NONE)
        return (struct http_framing){.body = BODY_NONE};
    if (body_bytes == WEIR_BODY_UNKNOWN)
        return (struct http_framing){.body = BODY_CHUNKED};
    return (struct http_framing){.body = BODY_LENGTH, .length = body_bytes};
}
