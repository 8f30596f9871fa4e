/* SPDX-License-Identifier: MIT */
/* A weir with a transport of its own, which knows one answer to everything: "fixed:TEXT". */
#include <stdio.h>
#include <stdlib.h>
#include <weir/main.h>
#include <weir/weir.h>

struct fixed {
    struct weir_wire *wire;
    char answer[256];
    size_t length, at;
    bool asked;
};

static enum weir_err fixed_open(const struct weir_transport_to *to, void **ret_conn)
{
    struct fixed *fixed = calloc(1, sizeof *fixed);
    if (fixed == NULL)
        return WEIR_E_NO_MEMORY;
    fixed->wire = to->wire;
    fixed->length = (size_t)snprintf(fixed->answer, sizeof fixed->answer,
                                     "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n%s",
                                     (unsigned)strlen(to->address), to->address);
    *ret_conn = fixed;
    return WEIR_OK;
}

static enum weir_err fixed_read(void *conn, char *bytes, size_t size, size_t *ret_count)
{
    struct fixed *fixed = conn;
    size_t left = fixed->asked ? fixed->length - fixed->at : 0;
    *ret_count = left < size ? left : size;
    memcpy(bytes, fixed->answer + fixed->at, *ret_count);
    fixed->at += *ret_count;
    return WEIR_OK;
}

/* A request without a body: it comes in one write. */
static enum weir_err fixed_write(void *conn, const struct weir_slice *slices, unsigned count,
                                 size_t *ret_count)
{
    struct fixed *fixed = conn;
    for (unsigned i = 0; i < count; i++)
        *ret_count += slices[i].len;
    fixed->at = 0;
    fixed->asked = true;
    weir_wire_ready(fixed->wire);
    return WEIR_OK;
}

static void fixed_close(void *conn, bool cut)
{
    (void)cut;
    free(conn);
}

/* A name that weir has inside, too: it must not be taken for this one. */
int snapshot_load_file(void);
int snapshot_load_file(void)
{
    return 1;
}

int main(int argc, char **argv)
{
    static const struct weir_byte_transport fixed = {.name = "fixed",
                                                     .open = fixed_open,
                                                     .read = fixed_read,
                                                     .write = fixed_write,
                                                     .close = fixed_close};
    if (snapshot_load_file() != 1 || weir_transport_register(&fixed) != WEIR_OK)
        return 1;
    return weir_main(argc, argv);
}
