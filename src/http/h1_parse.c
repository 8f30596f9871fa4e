/* SPDX-License-Identifier: MIT */
/*
 * Heads. One that is there at once is read in one pass. If it is not whole, the cursor keeps how
 * far it was sound; when bytes come, only lines that became whole are looked at, and the pass over
 * the whole head is made again when its last line is there. So a head is read twice at most.
 */
#include "http/h1_read.h"
#include "http/scan.h"

enum {
    HEAD_BYTES = 32 * 1024,
    TARGET_BYTES = 8 * 1024,
};

/* Reads a start line into the head that it is of. */
typedef enum h1_result read_start(struct h1_reader *reader, const struct h1_limits *limits,
                                  void *head);

/* What the three kinds of head have in common. */
struct shape {
    read_start *start;  /* NULL: it begins with its fields */
    size_t start_bytes; /* an unfinished start line of so many has a fault */
    void *head;
    struct fields *fields;
};

void h1_limits_init(struct h1_limits *limits)
{
    *limits = (struct h1_limits){
        .head_bytes = HEAD_BYTES,
        .target_bytes = TARGET_BYTES,
        .fields = FIELDS_MAX,
    };
}

static enum h1_result bad(struct h1_reader *reader, enum h1_fault fault)
{
    reader->fault = fault;
    return H1_BAD;
}

/* The CRLF at *at, which moves behind it. */
static enum h1_result read_line_end(struct h1_reader *reader, const char **at,
                                    enum h1_fault otherwise)
{
    const char *stop = *at;
    if (reader->end - stop >= 2 && stop[0] == '\r' && stop[1] == '\n') {
        *at += 2;
        return H1_DONE;
    }
    return h1_read_stopped(reader, stop, otherwise);
}

/* What is wrong with a version that is not one of ours. */
static enum h1_result read_other_version(struct h1_reader *reader, const char *version)
{
    const struct weir_slice shape = SLICE("HTTP/d.d");
    for (size_t i = 0; i < shape.len; i++) {
        const char *byte = version + i;
        bool is_digit = byte < reader->end && *byte >= '0' && *byte <= '9';
        if (byte == reader->end || (shape.at[i] == 'd' ? !is_digit : *byte != shape.at[i]))
            return h1_read_stopped(reader, byte, H1_FAULT_VERSION_SYNTAX);
    }
    return bad(reader, H1_FAULT_VERSION);
}

/* "HTTP/1.0" or "HTTP/1.1" at *at, which moves behind it. */
static enum h1_result read_version(struct h1_reader *reader, const char **at, uint8_t *ret_minor)
{
    const struct weir_slice front = SLICE("HTTP/1.");
    size_t there = (size_t)(reader->end - *at);
    char minor = there > front.len ? (*at)[front.len] : '\0';
    if ((minor != '0' && minor != '1') || !slice_starts(slice_of(*at, there), front))
        return read_other_version(reader, *at);
    *ret_minor = (uint8_t)(minor - '0');
    *at += front.len + 1;
    return H1_DONE;
}

/* RFC 9112 section 2.2 lets one empty line pass: old clients send it behind the body of a POST. */
static enum h1_result skip_empty_line(struct h1_reader *reader, const char **at)
{
    if (*at == reader->end || (**at != '\r' && **at != '\n'))
        return H1_DONE;
    enum h1_result result = read_line_end(reader, at, H1_FAULT_METHOD);
    if (result == H1_DONE && *at < reader->end && **at == '\r')
        return h1_read_stopped(reader, *at, H1_FAULT_EMPTY_LINES);
    return result;
}

static enum h1_result read_method(struct h1_reader *reader, const char **at,
                                  struct http_request *request)
{
    const char *stop = scan_name(*at, reader->end);
    size_t length = (size_t)(stop - *at);
    if (length > METHOD_BYTES)
        return bad(reader, H1_FAULT_METHOD_LENGTH);
    if (length == 0 || stop == reader->end || *stop != ' ')
        return h1_read_stopped(reader, stop, H1_FAULT_METHOD);
    request->method_text = slice_of(*at, length);
    request->method = http_method_of(request->method_text);
    *at = stop + 1;
    return H1_DONE;
}

static enum h1_result read_target_text(struct h1_reader *reader, const char **at,
                                       uint32_t limit_bytes, struct http_request *request)
{
    const char *stop = scan_target(*at, reader->end);
    size_t length = (size_t)(stop - *at);
    if (length > limit_bytes)
        return bad(reader, H1_FAULT_TARGET_LENGTH);
    if (stop == reader->end || *stop == '\r') /* CRLF here: the line of HTTP/0.9 has no version */
        return h1_read_stopped(reader, stop, H1_FAULT_VERSION_SYNTAX);
    if (length == 0 || *stop != ' ')
        return h1_read_stopped(reader, stop, H1_FAULT_TARGET);
    request->target = slice_of(*at, length);
    *at = stop + 1;
    return H1_DONE;
}

static enum h1_result read_request_line(struct h1_reader *reader, const struct h1_limits *limits,
                                        void *head)
{
    struct http_request *request = head;
    const char *at = reader->at;
    request->protocol = HTTP_1;
    request->extended = false;
    enum h1_result result = skip_empty_line(reader, &at);
    if (result == H1_DONE)
        result = read_method(reader, &at, request);
    if (result == H1_DONE)
        result = read_target_text(reader, &at, limits->target_bytes, request);
    if (result == H1_DONE)
        result = read_version(reader, &at, &request->minor);
    if (result == H1_DONE)
        result = read_line_end(reader, &at, H1_FAULT_VERSION_SYNTAX);
    if (result != H1_DONE)
        return result;
    enum h1_fault fault = h1_read_target(request);
    if (fault != H1_FAULT_NONE)
        return bad(reader, fault);
    reader->at = at;
    return H1_DONE;
}

/* " 200" and then, for the reason, " " and text. */
static enum h1_result read_status(struct h1_reader *reader, const char **at,
                                  struct http_response *response)
{
    const char *byte = *at;
    unsigned status = 0;
    if (byte == reader->end || *byte != ' ')
        return h1_read_stopped(reader, byte, H1_FAULT_VERSION_SYNTAX);
    for (byte++; byte < *at + 4; byte++) {
        if (byte == reader->end || *byte < '0' || *byte > '9')
            return h1_read_stopped(reader, byte, H1_FAULT_STATUS);
        status = status * 10 + (unsigned)(*byte - '0');
    }
    if (status < 100 || status > 599)
        return bad(reader, H1_FAULT_STATUS);
    response->status = (uint16_t)status;
    response->reason = SLICE("");
    *at = byte;
    return H1_DONE;
}

static enum h1_result read_status_line(struct h1_reader *reader, const struct h1_limits *limits,
                                       void *head)
{
    struct http_response *response = head;
    const char *at = reader->at;
    (void)limits;
    response->protocol = HTTP_1;
    enum h1_result result = read_version(reader, &at, &response->minor);
    if (result == H1_DONE)
        result = read_status(reader, &at, response);
    if (result != H1_DONE)
        return result;
    /*
     * RFC 9112 section 4 wants the space even before an empty reason. Many servers leave it out,
     * and no two readers can differ on where the line ends, so it may be missing.
     */
    enum h1_fault otherwise = H1_FAULT_STATUS;
    if (at < reader->end && *at == ' ') {
        const char *reason = at + 1;
        at = scan_value(reason, reader->end);
        response->reason = slice_of(reason, (size_t)(at - reason));
        otherwise = H1_FAULT_REASON;
    }
    result = read_line_end(reader, &at, otherwise);
    if (result == H1_DONE)
        reader->at = at;
    return result;
}

static enum h1_result read_whole(struct h1_reader *reader, struct h1_cursor *cursor,
                                 const struct h1_limits *limits, const struct shape *shape)
{
    const char *begin = reader->at;
    uint32_t limit = limits->fields < FIELDS_MAX ? limits->fields : FIELDS_MAX;
    enum h1_result result = H1_DONE;
    fields_init(shape->fields);
    if (shape->start)
        result = shape->start(reader, limits, shape->head);
    cursor->started = result == H1_DONE;
    if (result == H1_DONE)
        result = h1_read_fields(reader, limit, shape->fields);
    cursor->line = (size_t)(reader->at - begin);
    cursor->scanned = (size_t)(reader->end - begin);
    cursor->fields = shape->fields->count;
    return result;
}

/* Looks at the line between `at` and `end`. H1_DONE: it is the last one of the head. */
static enum h1_result check_line(struct h1_reader *reader, struct h1_cursor *cursor,
                                 const struct h1_limits *limits, const struct shape *shape)
{
    enum h1_result result;
    if (!cursor->started) {
        result = shape->start(reader, limits, shape->head);
        cursor->started = result == H1_DONE;
        return result == H1_DONE ? H1_MORE : result;
    }
    struct field field;
    result = h1_read_field(reader, &field);
    if (result != H1_DONE || field.name.len == 0)
        return result;
    if (cursor->fields == limits->fields || cursor->fields == FIELDS_MAX)
        return bad(reader, H1_FAULT_FIELD_COUNT);
    cursor->fields++;
    return H1_MORE;
}

/* Looks at the lines that have become whole. H1_DONE: the head is there and sound line by line. */
static enum h1_result check_new_lines(struct h1_reader *reader, struct h1_cursor *cursor,
                                      const struct h1_limits *limits, const struct shape *shape)
{
    const char *begin = reader->at, *end = reader->end;
    /* an open line of which no more may come is looked at as it is */
    size_t start_limit =
        shape->start_bytes < limits->head_bytes ? shape->start_bytes : limits->head_bytes;
    for (;;) {
        const char *from = begin + cursor->scanned;
        const char *line_end = from < end ? memchr(from, '\n', (size_t)(end - from)) : NULL;
        cursor->scanned = (size_t)((line_end ? line_end + 1 : end) - begin);
        reader->at = begin + cursor->line;
        reader->end = begin + cursor->scanned;
        if (!line_end && cursor->scanned < (cursor->started ? limits->head_bytes : start_limit))
            return H1_MORE;
        enum h1_result result = check_line(reader, cursor, limits, shape);
        if (result != H1_MORE || !line_end)
            return result;
        cursor->line = (size_t)(reader->at - begin);
        reader->end = end;
    }
}

static enum h1_result read_head(struct weir_slice input, struct h1_cursor *cursor,
                                const struct h1_limits *limits, const struct shape *shape,
                                size_t *ret_bytes, enum h1_fault *ret_fault)
{
    size_t limit = limits->head_bytes;
    enum h1_result result = H1_DONE;
    if (input.len == 0)
        return H1_MORE;
    struct h1_reader reader = {
        .at = input.at,
        .end = input.at + (input.len < limit ? input.len : limit),
    };
    if (cursor->scanned > 0)
        result = check_new_lines(&reader, cursor, limits, shape);
    if (result == H1_DONE) {
        reader.at = input.at;
        result = read_whole(&reader, cursor, limits, shape);
    }
    if (result == H1_MORE && input.len >= limit)
        result = bad(&reader, H1_FAULT_HEAD_LENGTH);
    if (result == H1_DONE)
        *ret_bytes = (size_t)(reader.at - input.at);
    if (result == H1_BAD)
        *ret_fault = reader.fault;
    return result;
}

enum h1_result h1_parse_request(struct weir_slice input, struct h1_cursor *cursor,
                                const struct h1_limits *limits, struct http_request *ret_request,
                                size_t *ret_bytes, enum h1_fault *ret_fault)
{
    const struct shape shape = {
        .start = read_request_line,
        .start_bytes =
            sizeof("\r\n HTTP/1.1\r\n") + METHOD_BYTES + 1 + (size_t)limits->target_bytes,
        .head = ret_request,
        .fields = &ret_request->fields,
    };
    size_t bytes;
    enum h1_result result = read_head(input, cursor, limits, &shape, &bytes, ret_fault);
    if (result != H1_DONE)
        return result;
    enum h1_fault fault = h1_read_host(ret_request);
    if (fault == H1_FAULT_NONE) {
        *ret_bytes = bytes;
        return H1_DONE;
    }
    *ret_fault = fault;
    return H1_BAD;
}

enum h1_result h1_parse_response(struct weir_slice input, struct h1_cursor *cursor,
                                 const struct h1_limits *limits, struct http_response *ret_response,
                                 size_t *ret_bytes, enum h1_fault *ret_fault)
{
    const struct shape shape = {
        .start = read_status_line,
        .start_bytes = SIZE_MAX, /* only the whole head is limited */
        .head = ret_response,
        .fields = &ret_response->fields,
    };
    return read_head(input, cursor, limits, &shape, ret_bytes, ret_fault);
}

enum h1_result h1_parse_trailers(struct weir_slice input, struct h1_cursor *cursor,
                                 const struct h1_limits *limits, struct fields *ret_fields,
                                 size_t *ret_bytes, enum h1_fault *ret_fault)
{
    const struct shape shape = {.fields = ret_fields};
    return read_head(input, cursor, limits, &shape, ret_bytes, ret_fault);
}
