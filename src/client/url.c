/* SPDX-License-Identifier: MIT */
#include "client/url.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdio.h>
#include <string.h>

enum { PORT_MAX = 65535, LABEL_BYTES_MAX = 63, HTTP_PORT = 80, HTTPS_PORT = 443 };

static bool is_host_byte(char byte)
{
    char lower = slice_lower(byte);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
           byte == '_' || byte == '.';
}

bool url_are_host_bytes(struct weir_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_host_byte(text.at[i]))
            return false;
    return text.len > 0;
}

static const char *read_path(struct weir_slice text, struct url *url)
{
    if (text.len < 6 || text.at[5] != '/')
        return "the path of a Unix socket begins with '/': unix:/run/app.sock";
    if (addr_parse(text, &url->addr) != WEIR_OK)
        return "the path of a Unix socket has at most 107 bytes";
    return NULL;
}

static bool is_dotted_number(struct weir_slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if ((host.at[i] < '0' || host.at[i] > '9') && host.at[i] != '.')
            return false;
    return true;
}

/* What can be asked for: labels of 1 to 63 bytes (RFC 1035 section 2.3.4); a last dot is fine. */
static bool has_good_labels(struct weir_slice name)
{
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        label = name.at[i] == '.' ? 0 : label + 1;
        if (label > LABEL_BYTES_MAX || (name.at[i] == '.' && (i == 0 || name.at[i - 1] == '.')))
            return false;
    }
    return true;
}

static const char *read_name(struct weir_slice host, struct url *url)
{
    if (is_dotted_number(host))
        return "not an IP address";
    if (host.len > HOST_BYTES_MAX || !url_are_host_bytes(host) || !has_good_labels(host))
        return "not a host name";
    for (size_t i = 0; i < host.len; i++)
        url->host[i] = slice_lower(host.at[i]);
    url->host[host.len] = '\0';
    return NULL;
}

static const char *read_host(struct weir_slice host, uint16_t port, struct url *url)
{
    struct addr addr;
    bool has_colon = slice_find(host, ':') != host.len;
    bool has_brackets = host.len > 0 && host.at[0] == '[';
    url->port = port;
    if ((!has_colon || has_brackets) && addr_parse_ip(host, &addr) == WEIR_OK) {
        addr_set_port(&addr, port);
        url->addr = addr;
        return NULL;
    }
    if (has_colon || has_brackets)
        return "an IPv6 address is written in brackets: [::1]:8080";
    if (host.len == 0)
        return "the host is missing";
    return read_name(host, url);
}

/* Where the host ends: the last colon outside of brackets, or the end. */
static size_t host_length(struct weir_slice authority)
{
    for (size_t i = authority.len; i > 0 && authority.at[i - 1] != ']'; i--)
        if (authority.at[i - 1] == ':')
            return i - 1;
    return authority.len;
}

static bool read_port(struct weir_slice text, unsigned least, uint16_t *ret_port)
{
    uint64_t port;
    if (!slice_to_u64(text, &port) || port > PORT_MAX || port < least)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* False: it is no transport's. */
static bool read_transport(struct weir_slice text, struct url *url, const char **ret_why)
{
    url->transport = transports_find(text, &url->transport_address);
    if (!custom_is_any(&url->transport))
        return false;
    bool good = url->transport_address.len > 0 &&
                slice_find(url->transport_address, '\0') == url->transport_address.len;
    *ret_why = good ? NULL : "behind the colon stands what the transport opens: exec:/usr/bin/app";
    addr_of_text(text, &url->addr);
    return true;
}

/* Whether it is no host with a port that is wrong, but "NAME:address" with a name that is. */
static bool names_no_transport(struct weir_slice text, struct url *url)
{
    char names[TRANSPORTS_TEXT_SIZE];
    struct weir_slice name = transports_name_in(text), rest = slice_skip(text, name.len);
    bool is_so = name.len > 0 && rest.len > 1 && (rest.at[1] < '0' || rest.at[1] > '9') &&
                 !slice_starts(rest, SLICE("://"));
    if (is_so)
        snprintf(url->said, sizeof url->said, "there is no transport '%.*s'; there are: %s",
                 (int)(name.len < 64 ? name.len : 64), name.at, transports_names(names));
    return is_so;
}

static const char *read_host_port(struct weir_slice text, bool listens, struct url *url)
{
    const char *why;
    uint16_t port;
    if (slice_starts(text, SLICE("unix:")))
        return read_path(text, url);
    if (!listens && read_transport(text, url, &why))
        return why;
    if (memmem(text.at, text.len, "://", 3))
        return "an address, not a URL, belongs here: host:port";
    struct weir_slice host = slice_of(text.at, host_length(text));
    if (host.len == text.len)
        return "the port is missing: host:port";
    if (!read_port(slice_skip(text, host.len + 1), !listens, &port))
        return !listens && names_no_transport(text, url) ? url->said
               : listens                                 ? "a port is a number from 0 to 65535"
                                                         : "a port is a number from 1 to 65535";
    if (listens && host.len == 0)
        host = SLICE("[::]");
    return read_host(host, port, url);
}

/* What URLs begin with, and which port they mean when they do not say. */
static const struct scheme {
    struct weir_slice prefix;
    enum url_scheme scheme;
    uint16_t port;
} schemes[] = {
    {SLICE("http://"), SCHEME_HTTP, HTTP_PORT},
    {SLICE("https://"), SCHEME_HTTPS, HTTPS_PORT},
    {SLICE("h2c://"), SCHEME_H2C, HTTP_PORT},
};

/* NULL: it is none of them. Their case does not matter (RFC 3986 section 3.1). */
static const struct scheme *scheme_of(struct weir_slice text)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        struct weir_slice prefix = schemes[i].prefix;
        if (text.len >= prefix.len && slice_equal_nocase(slice_of(text.at, prefix.len), prefix))
            return &schemes[i];
    }
    return NULL;
}

static const char *read_authority(struct weir_slice text, const struct scheme *scheme,
                                  struct url *url)
{
    uint16_t port = scheme->port;
    size_t end = 0;
    url->scheme = scheme->scheme;
    while (end < text.len && !strchr("/?#@", text.at[end]))
        end++;
    struct weir_slice rest = slice_skip(text, end), authority = slice_of(text.at, end);
    if (rest.len > 0 && !slice_equal(rest, SLICE("/")))
        return rest.at[0] == '@' ? "a user in a URL is not supported"
                                 : "a path in a URL is not supported";
    size_t length = host_length(authority);
    if (length < end && !read_port(slice_skip(authority, length + 1), 1, &port))
        return "a port is a number from 1 to 65535";
    url->authority = authority;
    return read_host(slice_of(authority.at, length), port, url);
}

static const char *read_url(struct weir_slice text, struct url *url)
{
    const char *why;
    const struct scheme *scheme = scheme_of(text);
    if (slice_starts(text, SLICE("unix:")))
        return read_path(text, url);
    if (scheme)
        return read_authority(slice_skip(text, scheme->prefix.len), scheme, url);
    if (read_transport(text, url, &why))
        return why;
    if (names_no_transport(text, url))
        return url->said;
    return "not a URL such as http://127.0.0.1:9001, https://example.com or unix:/run/app.sock";
}

static const char *give(const char *why, struct url *url)
{
    if (why) {
        url->addr.len = 0;
        url->host[0] = '\0';
        url->transport = (struct custom_transport){0};
    }
    return why;
}

const char *url_read(struct weir_slice text, struct url *ret_url)
{
    *ret_url = (struct url){.scheme = SCHEME_HTTP};
    return give(read_url(text, ret_url), ret_url);
}

const char *url_read_host_port(struct weir_slice text, struct url *ret_url)
{
    *ret_url = (struct url){.scheme = SCHEME_HTTP};
    return give(read_host_port(text, false, ret_url), ret_url);
}

const char *url_read_listen(struct weir_slice text, struct url *ret_url)
{
    *ret_url = (struct url){.scheme = SCHEME_HTTP};
    return give(read_host_port(text, true, ret_url), ret_url);
}
