/* SPDX-License-Identifier: MIT */
#include "io/lookup.h"

#include <netdb.h>
#include <string.h>

enum weir_err lookup_host(const char *host, uint16_t port, struct addr *ret_addr,
                          const char **ret_why)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(host, NULL, &wanted, &found);
    if (error != 0) {
        *ret_why = gai_strerror(error);
        return WEIR_E_DNS_ERROR;
    }
    *ret_addr = (struct addr){.len = found->ai_addrlen};
    memcpy(&ret_addr->any, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    addr_set_port(ret_addr, port);
    return WEIR_OK;
}
