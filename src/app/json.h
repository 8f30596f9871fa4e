/* SPDX-License-Identifier: MIT */
#ifndef APP_JSON_H
#define APP_JSON_H

/*
 * Writes JSON (RFC 8259) into a buf, without blanks. The caller's calls make the shape: a value in
 * an array, a key and a value in an object. Whatever bytes a string holds, what is written is UTF-8
 * that breaks neither a line nor a terminal.
 */

#include "base/buf.h"

#include <stdint.h>

struct json {
    struct buf *out;
    bool follows; /* the next member has one before it */
};

void json_init(struct json *json, struct buf *out);

void json_open_object(struct json *json);
void json_close_object(struct json *json);
void json_open_array(struct json *json);
void json_close_array(struct json *json);

/* The name of the member whose value comes next. */
void json_key(struct json *json, const char *key);

void json_string(struct json *json, struct weir_slice text);
/* NULL is null. */
void json_text(struct json *json, const char *text);
void json_uint(struct json *json, uint64_t number);
void json_int(struct json *json, int64_t number);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);

/*
 * Writes what stands for `text` between quotes, as much as goes into `room` bytes, and moves *text
 * behind what was taken. Returns how many bytes were written. A character that has a meaning or
 * does not print is escaped; a byte that is not UTF-8 is written as \ufffd.
 */
enum { JSON_ESCAPE_BYTES = 6 };
size_t json_escape(struct weir_slice *text, char *ret_bytes, size_t room);

#endif
