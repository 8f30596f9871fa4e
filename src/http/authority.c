/* SPDX-License-Identifier: MIT */
/* The authority of a URI, as Host and request targets carry it (RFC 3986 section 3.2). */
#include "http/head.h"

#include <arpa/inet.h>

enum { PORT_MAX = 65535, IPV6_TEXT_MAX = 45 };

/* Where the host ends: the colon before the port, or the end. */
static size_t host_length(struct weir_slice authority)
{
    size_t from = 0;
    if (authority.len == 0)
        return 0;
    if (authority.at[0] == '[')
        from = slice_find(authority, ']');
    return from + slice_find(slice_skip(authority, from), ':');
}

struct weir_slice http_authority_host(struct weir_slice authority)
{
    for (size_t i = authority.len; i > 0; i--) {
        if (authority.at[i - 1] == '@') {
            authority = slice_skip(authority, i);
            break;
        }
    }
    return slice_of(authority.at, host_length(authority));
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex(char byte)
{
    char lower = (char)(byte | 0x20);
    return is_digit(byte) || (lower >= 'a' && lower <= 'f');
}

/* unreserved or sub-delims (RFC 3986 section 2) */
static const bool is_name[256] = {
    ['!'] = true, ['$'] = true,         ['&' ... '.'] = true, ['0' ... '9'] = true, [';'] = true,
    ['='] = true, ['A' ... 'Z'] = true, ['_'] = true,         ['a' ... 'z'] = true, ['~'] = true,
};

static bool is_name_byte(char byte)
{
    return is_name[(unsigned char)byte];
}

static bool is_reg_name(struct weir_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (is_name_byte(name.at[i]))
            continue;
        if (name.at[i] != '%' || name.len - i < 3 || !is_hex(name.at[i + 1]) ||
            !is_hex(name.at[i + 2]))
            return false;
        i += 2;
    }
    return true;
}

static bool is_ipv6(struct weir_slice address)
{
    char text[IPV6_TEXT_MAX + 1];
    struct in6_addr ignored;
    if (address.len > IPV6_TEXT_MAX || slice_find(address, '\0') != address.len)
        return false;
    memcpy(text, address.at, address.len);
    text[address.len] = '\0';
    return inet_pton(AF_INET6, text, &ignored) == 1;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool is_ip_future(struct weir_slice address)
{
    size_t dot = slice_find(address, '.');
    if (address.len == 0 || slice_lower(address.at[0]) != 'v' || dot < 2 || dot + 1 >= address.len)
        return false;
    for (size_t i = 1; i < dot; i++)
        if (!is_hex(address.at[i]))
            return false;
    for (size_t i = dot + 1; i < address.len; i++)
        if (!is_name_byte(address.at[i]) && address.at[i] != ':')
            return false;
    return true;
}

static bool is_host(struct weir_slice host)
{
    if (host.len == 0 || host.at[0] != '[')
        return is_reg_name(host);
    if (host.len < 2 || host.at[host.len - 1] != ']')
        return false;
    struct weir_slice address = slice_of(host.at + 1, host.len - 2);
    return is_ipv6(address) || is_ip_future(address);
}

bool http_authority_split(struct weir_slice authority, struct weir_slice *ret_host,
                          struct weir_slice *ret_port)
{
    size_t length = host_length(authority);
    struct weir_slice host = slice_of(authority.at, length);
    struct weir_slice port = {NULL, 0};
    uint64_t number;
    if (!is_host(host))
        return false;
    if (length < authority.len)
        port = slice_skip(authority, length + 1);
    if (port.len > 0 && (!slice_to_u64(port, &number) || number > PORT_MAX))
        return false;
    *ret_host = host;
    *ret_port = port;
    return true;
}
