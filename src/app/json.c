/* SPDX-License-Identifier: MIT */
#include "app/json.h"

#include "base/slice.h"
#include "config/utf8.h"

#include <inttypes.h>

/* What follows the backslash; 'u' stands for four hexadecimal digits; 0: needs no escape. */
/* clang-format off */
static const char escapes[128] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\v'] = 'u', ['\f'] = 'f',
    ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"', ['\\'] = '\\', [0x7f] = 'u',
};
/* clang-format on */

static size_t escape_ascii(unsigned char byte, char to[static JSON_ESCAPE_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    char escape = escapes[byte];
    if (!escape) {
        to[0] = (char)byte;
        return 1;
    }
    to[0] = '\\';
    to[1] = escape;
    if (escape != 'u')
        return 2;
    to[2] = to[3] = '0';
    to[4] = hex[byte >> 4];
    to[5] = hex[byte & 15];
    return 6;
}

/* The length of the character beyond ASCII that `text` begins with; 0 if it is not a good one. */
static size_t wide_length(struct weir_slice text)
{
    for (size_t length = 2; length <= 4 && length <= text.len; length++)
        if (utf8_printable(slice_of(text.at, length)) == length)
            return length;
    return 0;
}

size_t json_escape(struct weir_slice *text, char *ret_bytes, size_t room)
{
    size_t written = 0;
    while (text->len > 0 && room - written >= JSON_ESCAPE_BYTES) {
        unsigned char byte = (unsigned char)text->at[0];
        size_t taken = 1;
        if (byte < 0x80) {
            written += escape_ascii(byte, ret_bytes + written);
        } else if ((taken = wide_length(*text)) > 0) {
            memcpy(ret_bytes + written, text->at, taken);
            written += taken;
        } else {
            memcpy(ret_bytes + written, "\\ufffd", JSON_ESCAPE_BYTES);
            written += JSON_ESCAPE_BYTES;
            taken = 1;
        }
        *text = slice_skip(*text, taken);
    }
    return written;
}

void json_init(struct json *json, struct buf *out)
{
    *json = (struct json){.out = out};
}

static void begin_value(struct json *json)
{
    if (json->follows)
        buf_append_byte(json->out, ',');
    json->follows = true;
}

static void open_bracket(struct json *json, char bracket)
{
    begin_value(json);
    buf_append_byte(json->out, bracket);
    json->follows = false;
}

static void close_bracket(struct json *json, char bracket)
{
    buf_append_byte(json->out, bracket);
    json->follows = true;
}

void json_open_object(struct json *json)
{
    open_bracket(json, '{');
}

void json_close_object(struct json *json)
{
    close_bracket(json, '}');
}

void json_open_array(struct json *json)
{
    open_bracket(json, '[');
}

void json_close_array(struct json *json)
{
    close_bracket(json, ']');
}

void json_key(struct json *json, const char *key)
{
    json_text(json, key);
    buf_append_byte(json->out, ':');
    json->follows = false;
}

void json_string(struct json *json, struct weir_slice text)
{
    char piece[128];
    begin_value(json);
    buf_append_byte(json->out, '"');
    while (text.len > 0) {
        size_t len = json_escape(&text, piece, sizeof piece);
        buf_append(json->out, slice_of(piece, len));
    }
    buf_append_byte(json->out, '"');
}

void json_text(struct json *json, const char *text)
{
    if (text)
        json_string(json, slice_str(text));
    else
        json_null(json);
}

void json_uint(struct json *json, uint64_t number)
{
    begin_value(json);
    buf_printf(json->out, "%" PRIu64, number);
}

void json_int(struct json *json, int64_t number)
{
    begin_value(json);
    buf_printf(json->out, "%" PRId64, number);
}

void json_bool(struct json *json, bool value)
{
    begin_value(json);
    buf_append(json->out, value ? SLICE("true") : SLICE("false"));
}

void json_null(struct json *json)
{
    begin_value(json);
    buf_append(json->out, SLICE("null"));
}
