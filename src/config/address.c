/* SPDX-License-Identifier: MIT */
#include "config/address.h"

#include "base/check.h"
#include "base/slice.h"
#include "client/transports.h"
#include "config/value.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum {
    PORT_MAX = 65535,
    HOST_BYTES_MAX = 253,
    LABEL_BYTES_MAX = 63,
    HTTP_PORT = 80,
    HTTPS_PORT = 443
};

enum use { LISTEN, CONNECT };

/* What is being read, and what comes of it: an address, or a name with a port, or nothing. */
struct reading {
    struct report *report;
    struct position position;
    struct weir_slice text;
    enum use use;
    struct addr addr;              /* .len 0: none */
    char name[HOST_BYTES_MAX + 1]; /* "": none */
    uint16_t port;
    enum url_scheme scheme;
    struct custom_transport transport;
    struct weir_slice transport_address;
};

/* One mistake: what was written, and what is wrong with it. */
static void reject(const struct reading *reading, const char *reason)
{
    char escaped[LOG_ESCAPED_SIZE];
    report_error(reading->report, reading->position, "'%s': %s", log_escape(reading->text, escaped),
                 reason);
}

static void read_path(struct reading *reading, struct weir_slice text)
{
    if (text.len < 6 || text.at[5] != '/')
        reject(reading, "the path of a Unix socket begins with '/': unix:/run/app.sock");
    else if (addr_parse(text, &reading->addr) != WEIR_OK)
        reject(reading, "the path of a Unix socket has at most 107 bytes");
}

/* False: it is no transport's. */
static bool read_transport(struct reading *reading)
{
    struct weir_slice address;
    struct custom_transport transport = transports_find(reading->text, &address);
    if (!custom_is_any(&transport))
        return false;
    if (address.len == 0 || slice_find(address, '\0') != address.len) {
        reject(reading, "behind the colon stands what the transport opens: exec:/usr/bin/app");
        return true;
    }
    reading->transport = transport;
    reading->transport_address = address;
    addr_of_text(reading->text, &reading->addr);
    return true;
}

/* A name that might be a transport's stands where none is. */
static void reject_name(const struct reading *reading, struct weir_slice name)
{
    char names[TRANSPORTS_TEXT_SIZE], reason[TRANSPORTS_TEXT_SIZE + 160];
    snprintf(reason, sizeof reason, "there is no transport '%.*s'; there are: %s",
             (int)(name.len < 64 ? name.len : 64), name.at, transports_names(names));
    reject(reading, reason);
}

/* The port, or -1 when it is none. */
static int port_of(const struct reading *reading, struct weir_slice text)
{
    uint64_t port;
    if (!slice_to_u64(text, &port) || port > PORT_MAX || (port == 0 && reading->use == CONNECT))
        return -1;
    return (int)port;
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

static void read_host(struct reading *reading, struct weir_slice host, int port)
{
    struct addr addr;
    bool has_colon = slice_find(host, ':') != host.len;
    bool has_brackets = host.len > 0 && host.at[0] == '[';
    char name[HOST_BYTES_MAX + 1] = "";
    if ((!has_colon || has_brackets) && addr_parse_ip(host, &addr) == WEIR_OK) {
        addr_set_port(&addr, (uint16_t)port);
        reading->addr = addr;
    } else if (has_colon || has_brackets) {
        reject(reading, "an IPv6 address is written in brackets: [::1]:8080");
    } else if (host.len == 0) {
        reject(reading, "the host is missing");
    } else if (is_dotted_number(host)) {
        reject(reading, "not an IP address");
    } else if (host.len > HOST_BYTES_MAX || host.at[0] == '*' || !value_host(host, name) ||
               !has_good_labels(host)) {
        reject(reading, "not a host name");
    } else {
        memcpy(reading->name, name, sizeof name);
        reading->port = (uint16_t)port;
    }
}

/* Where the host ends: the last colon outside of brackets, or the end. */
static size_t host_length(struct weir_slice authority)
{
    for (size_t i = authority.len; i > 0 && authority.at[i - 1] != ']'; i--)
        if (authority.at[i - 1] == ':')
            return i - 1;
    return authority.len;
}

/* Whether it is no host with a port that is wrong, but "NAME:address" with a name that is. */
static bool is_nameless(struct weir_slice text, struct weir_slice name)
{
    struct weir_slice rest = slice_skip(text, name.len + 1);
    return name.len > 0 && rest.len > 0 && (rest.at[0] < '0' || rest.at[0] > '9') &&
           !slice_starts(rest, SLICE("//"));
}

static void read_host_and_port(struct reading *reading)
{
    struct weir_slice text = reading->text;
    if (slice_starts(text, SLICE("unix:"))) {
        read_path(reading, text);
        return;
    }
    if (memmem(text.at, text.len, "://", 3)) {
        reject(reading, "an address, not a URL, belongs here: host:port");
        return;
    }
    size_t length = host_length(text);
    if (length == text.len) {
        reject(reading, "the port is missing: host:port");
        return;
    }
    int port = port_of(reading, slice_skip(text, length + 1));
    struct weir_slice host = slice_of(text.at, length), name = transports_name_in(text);
    if (port < 0 && reading->use == CONNECT && is_nameless(text, name))
        reject_name(reading, name);
    else if (port < 0)
        reject(reading, reading->use == LISTEN ? "a port is a number from 0 to 65535"
                                               : "a port is a number from 1 to 65535");
    else if (reading->use == LISTEN && host.len == 0)
        read_host(reading, SLICE("[::]"), port);
    else
        read_host(reading, host, port);
}

/* The first address of a name, which is not resolved again. */
static void look_up(struct reading *reading)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(reading->name, NULL, &wanted, &found);
    if (error != 0) {
        report_error(reading->report, reading->position, "cannot resolve '%s': %s", reading->name,
                     gai_strerror(error));
        return;
    }
    reading->addr = (struct addr){.len = found->ai_addrlen};
    memcpy(&reading->addr.any, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    addr_set_port(&reading->addr, reading->port);
}

void address_read_listen(struct report *report, struct position position, struct weir_slice text,
                         struct addr *ret_addr)
{
    struct reading reading = {report, position, text, .use = LISTEN};
    read_host_and_port(&reading);
    if (reading.name[0])
        look_up(&reading);
    if (reading.addr.len > 0)
        *ret_addr = reading.addr;
}

static void give_server(const struct reading *reading, struct config_memory *memory,
                        struct server_options *ret_server)
{
    ret_server->scheme = reading->scheme;
    if (reading->addr.len > 0)
        ret_server->addr = reading->addr;
    if (custom_is_any(&reading->transport)) {
        ret_server->transport = reading->transport;
        ret_server->transport_address = memory_string(memory, reading->transport_address);
    }
    if (!reading->name[0])
        return;
    ret_server->host = memory_string(memory, slice_str(reading->name));
    ret_server->port = reading->port;
}

/* What URLs begin with, and which port they mean when they do not say. */
static const struct scheme {
    struct weir_slice prefix;
    enum url_scheme scheme;
    int port;
} schemes[] = {
    {SLICE("http://"), SCHEME_HTTP, HTTP_PORT},
    {SLICE("https://"), SCHEME_HTTPS, HTTPS_PORT},
    {SLICE("h2c://"), SCHEME_H2C, HTTP_PORT},
};

/* NULL, which is told, when it is none of them. */
static const struct scheme *scheme_of(const struct reading *reading)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (slice_starts(reading->text, schemes[i].prefix))
            return &schemes[i];
    struct weir_slice name = transports_name_in(reading->text);
    if (is_nameless(reading->text, name))
        reject_name(reading, name);
    else
        reject(reading, "not a URL such as http://127.0.0.1:9001, https://example.com or "
                        "unix:/run/app.sock");
    return NULL;
}

static void read_url(struct reading *reading)
{
    struct weir_slice text = reading->text;
    if (slice_starts(text, SLICE("unix:"))) {
        read_path(reading, text);
        return;
    }
    if (read_transport(reading))
        return;
    const struct scheme *scheme = scheme_of(reading);
    if (!scheme)
        return;
    reading->scheme = scheme->scheme;
    struct weir_slice authority = slice_skip(text, scheme->prefix.len);
    size_t end = 0;
    while (end < authority.len && !strchr("/?#@", authority.at[end]))
        end++;
    struct weir_slice rest = slice_skip(authority, end);
    if (rest.len > 0 && !slice_equal(rest, SLICE("/"))) {
        reject(reading, rest.at[0] == '@' ? "a user in a URL is not supported"
                                          : "a path in a URL is not supported");
        return;
    }
    authority.len = end;
    size_t length = host_length(authority);
    int port = scheme->port;
    if (length < authority.len)
        port = port_of(reading, slice_skip(authority, length + 1));
    if (port < 0)
        reject(reading, "a port is a number from 1 to 65535");
    else
        read_host(reading, slice_of(authority.at, length), port);
}

void address_read_server(struct report *report, struct config_memory *memory,
                         struct position position, struct weir_slice text,
                         struct server_options *ret_server)
{
    struct reading reading = {report, position, text, .use = CONNECT};
    if (slice_starts(text, SLICE("h2c://")))
        read_url(&reading);
    else if (!read_transport(&reading))
        read_host_and_port(&reading);
    give_server(&reading, memory, ret_server);
}

void address_read_url(struct report *report, struct config_memory *memory, struct position position,
                      struct weir_slice text, struct server_options *ret_server)
{
    struct reading reading = {report, position, text, .use = CONNECT};
    read_url(&reading);
    give_server(&reading, memory, ret_server);
}

void address_read_ip(struct report *report, struct position position, struct weir_slice text,
                     struct addr *ret_addr)
{
    struct reading reading = {report, position, text, .use = CONNECT};
    if (addr_parse_ip(text, ret_addr) != WEIR_OK)
        reject(&reading, "not an IP address without a port");
}

void address_read_ip_port(struct report *report, struct position position, struct weir_slice text,
                          struct addr *ret_addr)
{
    struct reading reading = {report, position, text, .use = CONNECT};
    struct addr addr;
    if (addr_parse_ip(text, &addr) == WEIR_OK ||
        (addr_parse(text, &addr) == WEIR_OK && !addr_is_local(&addr) && text.at[0] != ':'))
        *ret_addr = addr;
    else
        reject(&reading, "not an IP address, with or without a port");
}
