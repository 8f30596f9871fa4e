/* SPDX-License-Identifier: MIT */
/* A weir of one's own:  own_weir -c weir.yaml  is weir, and knows a transport, to Unix sockets
 * (upstream: local:/run/app.sock), and phases for the service "web", which mark each response. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <weir/main.h>
#include <weir/weir.h>

static int sock_of(void *conn)
{
    return (int)(intptr_t)conn;
}

static enum weir_err local_open(const struct weir_transport_to *to, void **ret_conn)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", to->address);
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(sock, (struct sockaddr *)&at, sizeof at) != 0) {
        close(sock);
        return WEIR_E_REFUSED;
    }
    *ret_conn = (void *)(intptr_t)sock;
    return WEIR_OK;
}

static enum weir_err local_read(void *conn, char *bytes, size_t size, size_t *ret_count)
{
    ssize_t count = recv(sock_of(conn), bytes, size, 0);
    *ret_count = count > 0 ? (size_t)count : 0;
    return count == 0 ? WEIR_E_EOF : count > 0 || errno == EAGAIN ? WEIR_OK : WEIR_E_RESET;
}

/* The first slice is enough: weir comes again with what is left. */
static enum weir_err local_write(void *conn, const struct weir_slice *slices, unsigned slice_count,
                                 size_t *ret_count)
{
    (void)slice_count;
    ssize_t count = send(sock_of(conn), slices[0].at, slices[0].len, MSG_NOSIGNAL);
    *ret_count = count > 0 ? (size_t)count : 0;
    return count >= 0 || errno == EAGAIN ? WEIR_OK : WEIR_E_RESET;
}

static void local_close(void *conn, bool cut)
{
    (void)cut; /* it has one way to end */
    close(sock_of(conn));
}

static enum weir_err mark(struct weir_exchange *exchange, struct weir_response *response)
{
    struct weir_slice text = weir_str(weir_exchange_owner(exchange));
    return weir_fields_set(weir_response_fields(response), "X-Passed-By", text);
}

int main(int argc, char **argv)
{
    static const struct weir_byte_transport local = {.name = "local",
                                                     .moves = true,
                                                     .open = local_open,
                                                     .read = local_read,
                                                     .write = local_write,
                                                     .descriptor = sock_of,
                                                     .close = local_close};
    static const struct weir_proxy_ops phases = {.name = "own_weir", .response_filter = mark};
    weir_main_phases("web", &phases, "a weir of my own");
    return weir_transport_register(&local) == WEIR_OK ? weir_main(argc, argv) : 1;
}
