/* SPDX-License-Identifier: MIT */
#include "responses.h"
#include "tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIZES = 16, /* different sizes in one run */
    SMALLEST = 64, /* no body at all */
    LARGEST = 64 * 1024 * 1024,
};

static struct response responses[SIZES];

/* Of `size` bytes in all: the body is what the head leaves. */
static void response_make(struct response *response, size_t size)
{
    static const char form[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: " RESPONSE_TYPE "\r\n"
                               "Content-Length: %zu\r\n\r\n";
    /* The head's length depends on the digits of the body's, so the second step settles it. (A size
       that no head and body add up to, like 165, comes out one byte off, and is refused.) */
    size_t head = (size_t)snprintf(NULL, 0, form, size);
    head = (size_t)snprintf(NULL, 0, form, size > head ? size - head : 0);
    size_t body = size - head;
    *response = (struct response){.size = size, .head_bytes = head};
    if ((size_t)snprintf(NULL, 0, form, body) != head)
        return;
    char *bytes = malloc(size + 1);
    if (bytes == NULL)
        tcp_die("memory");
    snprintf(bytes, size + 1, form, body);
    memset(bytes + head, 'x', body);
    snprintf(response->body_length, sizeof response->body_length, "%zu", body);
    response->bytes = bytes;
}

const struct response *response_find(size_t size)
{
    if (size < SMALLEST || size > LARGEST)
        return NULL;
    for (size_t i = 0; i < SIZES; i++) {
        if (responses[i].size == 0)
            response_make(&responses[i], size);
        if (responses[i].size == size)
            return responses[i].bytes == NULL ? NULL : &responses[i];
    }
    return NULL;
}
