/* SPDX-License-Identifier: MIT */
#include "downstream/websocket_h2.h"

#include "base/rand.h"

#include <openssl/evp.h>

enum { KEY_BYTES = 16, KEY_TEXT_SIZE = 25 };

/* Nobody checks it: it is there to keep caches of HTTP/1 away (RFC 6455 section 4.1). */
static struct weir_slice new_key(struct arena *arena)
{
    uint64_t bytes[KEY_BYTES / sizeof(uint64_t)] = {rand_seed_from_kernel(),
                                                    rand_seed_from_kernel()};
    unsigned char *text = arena_alloc(arena, KEY_TEXT_SIZE);
    if (!text)
        return SLICE("");
    int len = EVP_EncodeBlock(text, (const unsigned char *)bytes, KEY_BYTES);
    return slice_of((const char *)text, (size_t)len);
}

static void remove_named(struct fields *fields, struct weir_slice name)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (slice_equal_nocase(fields->at[i].name, name))
            fields_remove_at(fields, i);
}

enum weir_err websocket_h2_request(struct http_request *request, struct arena *arena)
{
    struct fields *fields = &request->fields;
    struct weir_slice key = new_key(arena);
    if (key.len == 0)
        return WEIR_E_NO_MEMORY;
    remove_named(fields, SLICE("Sec-WebSocket-Key"));
    return fields_add_known(fields, FIELD_UPGRADE, SLICE("websocket")) &&
                   fields_add_known(fields, FIELD_CONNECTION, SLICE("upgrade")) &&
                   fields_add(fields, SLICE("Sec-WebSocket-Key"), key)
               ? WEIR_OK
               : WEIR_E_REQUEST_HEAD_LENGTH;
}

enum weir_err websocket_h2_response(struct http_response *response)
{
    if (response->status != 101)
        return response->status / 100 == 2 ? WEIR_E_UPGRADE_FAILED : WEIR_OK;
    response->status = 200;
    remove_named(&response->fields, SLICE("Sec-WebSocket-Accept"));
    return WEIR_OK;
}
