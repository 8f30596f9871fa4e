/* SPDX-License-Identifier: MIT */
#include "io/addr.h"

#include "base/check.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static enum weir_err parse_path(struct weir_slice path, struct addr *ret_addr)
{
    struct addr addr = {.local = {.sun_family = AF_UNIX}};
    if (path.len == 0 || path.len >= sizeof addr.local.sun_path ||
        slice_find(path, '\0') != path.len)
        return WEIR_E_ADDRESS;
    memcpy(addr.local.sun_path, path.at, path.len);
    addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    *ret_addr = addr;
    return WEIR_OK;
}

enum weir_err addr_parse_ip(struct weir_slice text, struct addr *ret_addr)
{
    struct addr addr = {0};
    char copy[INET6_ADDRSTRLEN + 2];
    if (text.len >= 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = slice_of(text.at + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof copy || slice_find(text, '\0') != text.len)
        return WEIR_E_ADDRESS;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &addr.v4.sin_addr) == 1) {
        addr.v4.sin_family = AF_INET;
        addr.len = sizeof addr.v4;
    } else if (inet_pton(AF_INET6, copy, &addr.v6.sin6_addr) == 1) {
        addr.v6.sin6_family = AF_INET6;
        addr.len = sizeof addr.v6;
    } else {
        return WEIR_E_ADDRESS;
    }
    *ret_addr = addr;
    return WEIR_OK;
}

enum weir_err addr_parse(struct weir_slice text, struct addr *ret_addr)
{
    if (slice_starts(text, SLICE("unix:")))
        return parse_path(slice_skip(text, 5), ret_addr);

    size_t colon = text.len;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return WEIR_E_ADDRESS;
    uint64_t port;
    if (!slice_to_u64(slice_skip(text, colon), &port) || port > 65535)
        return WEIR_E_ADDRESS;
    struct weir_slice ip = slice_of(text.at, colon - 1);
    if (ip.len == 0)
        ip = SLICE("[::]");
    else if (slice_find(ip, ':') != ip.len && ip.at[0] != '[')
        return WEIR_E_ADDRESS;

    struct addr addr;
    TRY(addr_parse_ip(ip, &addr));
    addr_set_port(&addr, (uint16_t)port);
    *ret_addr = addr;
    return WEIR_OK;
}

enum weir_err addr_of_name(struct weir_slice host, uint16_t port, struct addr *ret_addr)
{
    struct addr addr = {.local = {.sun_family = AF_UNSPEC}};
    size_t room = sizeof addr.local.sun_path;
    int len = snprintf(addr.local.sun_path, room, "%.*s:%u", SLICE_ARGS(host), port);
    if (host.len == 0 || len < 0 || (size_t)len >= room)
        return WEIR_E_ADDRESS;
    addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len + 1);
    *ret_addr = addr;
    return WEIR_OK;
}

/* FNV-1a, for eyes. */
static uint64_t hash_text(struct weir_slice text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.at[i]) * UINT64_C(1099511628211);
    return hash;
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static bool is_printable(struct weir_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.at[i]))
            return false;
    return true;
}

/* Not in the middle of a character of UTF-8. */
static size_t cut_before(struct weir_slice text, size_t len)
{
    if (len >= text.len)
        return text.len;
    while (len > 0 && (text.at[len] & 0xc0) == 0x80)
        len--;
    return len;
}

void addr_of_text(struct weir_slice text, struct addr *ret_addr)
{
    enum { HASH_BYTES = 17 }; /* with the blank before it */
    struct addr addr = {.local = {.sun_family = AF_UNSPEC}};
    char *path = addr.local.sun_path;
    size_t len = text.len, room = sizeof addr.local.sun_path;
    bool whole = len < room && is_printable(text);
    if (!whole)
        len = cut_before(text, room - 1 - HASH_BYTES - SLICE("...").len);
    for (size_t i = 0; i < len; i++)
        path[i] = is_control(text.at[i]) ? ' ' : text.at[i];
    if (!whole)
        len += (size_t)snprintf(path + len, room - len, "... %016llx",
                                (unsigned long long)hash_text(text));
    addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    *ret_addr = addr;
}

bool addr_is_name(const struct addr *addr)
{
    return addr->len > 0 && addr->any.sa_family == AF_UNSPEC;
}

void addr_set_port(struct addr *addr, uint16_t port)
{
    if (addr->any.sa_family == AF_INET)
        addr->v4.sin_port = htons(port);
    else
        addr->v6.sin6_port = htons(port);
}

uint16_t addr_port(const struct addr *addr)
{
    if (addr->any.sa_family == AF_INET)
        return ntohs(addr->v4.sin_port);
    return addr->any.sa_family == AF_INET6 ? ntohs(addr->v6.sin6_port) : 0;
}

const char *addr_print(const struct addr *addr, char ret_text[static ADDR_TEXT_SIZE])
{
    char ip[INET6_ADDRSTRLEN];
    switch (addr->len ? addr->any.sa_family : AF_UNSPEC) {
    case AF_INET:
        inet_ntop(AF_INET, &addr->v4.sin_addr, ip, sizeof ip);
        snprintf(ret_text, ADDR_TEXT_SIZE, "%s:%u", ip, ntohs(addr->v4.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &addr->v6.sin6_addr, ip, sizeof ip);
        snprintf(ret_text, ADDR_TEXT_SIZE, "[%s]:%u", ip, ntohs(addr->v6.sin6_port));
        break;
    case AF_UNIX:
        /* A client's end of a Unix socket has no path. */
        snprintf(ret_text, ADDR_TEXT_SIZE, "unix:%s",
                 addr->len > offsetof(struct sockaddr_un, sun_path) ? addr->local.sun_path : "");
        break;
    default:
        snprintf(ret_text, ADDR_TEXT_SIZE, "%s",
                 addr_is_name(addr) ? addr->local.sun_path : "none");
    }
    return ret_text;
}

/* "10.0.0.1": on every request's path, where inet_ntop() would go through printf. */
static void print_v4(const unsigned char bytes[static 4], char *at)
{
    for (int i = 0; i < 4; i++) {
        unsigned byte = bytes[i];
        if (byte >= 100)
            *at++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *at++ = (char)('0' + byte / 10 % 10);
        *at++ = (char)('0' + byte % 10);
        *at++ = i < 3 ? '.' : '\0';
    }
}

const char *addr_print_ip(const struct addr *addr, char ret_text[static ADDR_TEXT_SIZE])
{
    switch (addr->len ? addr->any.sa_family : AF_UNSPEC) {
    case AF_INET:
        print_v4((const unsigned char *)&addr->v4.sin_addr, ret_text);
        break;
    case AF_INET6:
        /* A dual-stack listener sees IPv4 clients as ::ffff:a.b.c.d; they are IPv4 all the same. */
        if (IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr))
            print_v4(&addr->v6.sin6_addr.s6_addr[12], ret_text);
        else
            inet_ntop(AF_INET6, &addr->v6.sin6_addr, ret_text, ADDR_TEXT_SIZE);
        break;
    default:
        snprintf(ret_text, ADDR_TEXT_SIZE, "unix");
    }
    return ret_text;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    if (a->len == 0 || b->len == 0)
        return a->len == b->len;
    if (a->any.sa_family != b->any.sa_family)
        return false;
    switch (a->any.sa_family) {
    case AF_INET:
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    case AF_INET6:
        return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
               IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
    default:
        return a->len == b->len && memcmp(&a->local, &b->local, a->len) == 0;
    }
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_v4(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    int order = compare_numbers(ntohl(a->sin_addr.s_addr), ntohl(b->sin_addr.s_addr));
    return order != 0 ? order : compare_numbers(ntohs(a->sin_port), ntohs(b->sin_port));
}

static int compare_v6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    int order = memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr);
    if (order == 0)
        order = compare_numbers(ntohs(a->sin6_port), ntohs(b->sin6_port));
    return order != 0 ? order : compare_numbers(a->sin6_scope_id, b->sin6_scope_id);
}

int addr_compare(const struct addr *a, const struct addr *b)
{
    if (a->len == 0 || b->len == 0)
        return compare_numbers(a->len, b->len);
    if (a->any.sa_family != b->any.sa_family)
        return compare_numbers(a->any.sa_family, b->any.sa_family);
    switch (a->any.sa_family) {
    case AF_INET:
        return compare_v4(&a->v4, &b->v4);
    case AF_INET6:
        return compare_v6(&a->v6, &b->v6);
    default: {
        int order = memcmp(&a->local, &b->local, a->len < b->len ? a->len : b->len);
        return order != 0 ? order : compare_numbers(a->len, b->len);
    }
    }
}
