/* SPDX-License-Identifier: MIT */
#ifndef IO_ADDR_H
#define IO_ADDR_H

/* Socket addresses: IPv4, IPv6 and Unix paths. Plain values, compared in full. */

#include <weir/err.h>
#include <weir/slice.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    socklen_t len; /* of what lies in the union; 0: no address */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

/* Room for the text of any address and its NUL. */
enum { ADDR_TEXT_SIZE = 128 };

/*
 * "127.0.0.1:80", "[::1]:80", ":80" (every IPv6 and IPv4 address), "unix:/path". Numbers only, no
 * names. WEIR_E_ADDRESS when it is none of these.
 */
enum weir_err addr_parse(struct weir_slice text, struct addr *ret_addr);

/* An IP without a port, brackets optional: "10.0.0.1", "::1". The port is 0. */
enum weir_err addr_parse_ip(struct weir_slice text, struct addr *ret_addr);

/*
 * A name with its port, which somebody else will resolve: an HTTP proxy. It is an address to print
 * and compare, and not to connect to. WEIR_E_ADDRESS when it is too long.
 */
enum weir_err addr_of_name(struct weir_slice host, uint16_t port, struct addr *ret_addr);
/*
 * Whatever a transport calls an address (weir/transport.h), likewise to print and compare. What is
 * too long to stand there as it is, or to be printed, is cut and ends in a hash of all of it.
 */
void addr_of_text(struct weir_slice text, struct addr *ret_addr);
bool addr_is_name(const struct addr *addr);

/* The address of an IP with a port; `ip` must be IPv4 or IPv6. */
void addr_set_port(struct addr *addr, uint16_t port);
/* 0 for a Unix path. */
uint16_t addr_port(const struct addr *addr);

/* What addr_parse() reads. Returns its argument, NUL-terminated. */
const char *addr_print(const struct addr *addr, char ret_text[static ADDR_TEXT_SIZE]);
/* The IP alone, without brackets; "unix" for what has none. */
const char *addr_print_ip(const struct addr *addr, char ret_text[static ADDR_TEXT_SIZE]);

bool addr_equal(const struct addr *a, const struct addr *b);
/* Below, at or above 0: an order for people, by family, IP and port, or path. */
int addr_compare(const struct addr *a, const struct addr *b);

static inline bool addr_is_local(const struct addr *addr)
{
    return addr->any.sa_family == AF_UNIX;
}

#endif
