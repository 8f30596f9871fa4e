/* SPDX-License-Identifier: MIT */
#include "config/address.h"

#include "base/check.h"
#include "base/slice.h"
#include "io/lookup.h"

#include <string.h>

/* What is being read, and what comes of it. */
struct reading {
    struct report *report;
    struct position position;
    struct weir_slice text;
    struct url url;
};

/* One mistake, if there is one: what was written, and what is wrong with it. */
static void tell(const struct reading *reading, const char *why)
{
    char escaped[LOG_ESCAPED_SIZE];
    if (why)
        report_error(reading->report, reading->position, "'%s': %s",
                     log_escape(reading->text, escaped), why);
}

/* The first address of a name, which is not resolved again. */
static void look_up(struct reading *reading)
{
    const char *why;
    if (lookup_host(reading->url.host, reading->url.port, &reading->url.addr, &why) != WEIR_OK)
        report_error(reading->report, reading->position, "cannot resolve '%s': %s",
                     reading->url.host, why);
}

void address_read_listen(struct report *report, struct position position, struct weir_slice text,
                         struct addr *ret_addr)
{
    struct reading reading = {report, position, text, .url = {.scheme = SCHEME_HTTP}};
    tell(&reading, url_read_listen(text, &reading.url));
    if (reading.url.host[0])
        look_up(&reading);
    if (reading.url.addr.len > 0)
        *ret_addr = reading.url.addr;
}

static void give_server(const struct reading *reading, struct memory *memory,
                        struct server_options *ret_server)
{
    ret_server->scheme = reading->url.scheme;
    if (reading->url.addr.len > 0)
        ret_server->addr = reading->url.addr;
    if (custom_is_any(&reading->url.transport)) {
        ret_server->transport = reading->url.transport;
        ret_server->transport_address = memory_string(memory, reading->url.transport_address);
    }
    if (!reading->url.host[0])
        return;
    ret_server->host = memory_string(memory, slice_str(reading->url.host));
    ret_server->port = reading->url.port;
}

static void read_url(struct reading *reading)
{
    tell(reading, url_read(reading->text, &reading->url));
}

void address_read_server(struct report *report, struct memory *memory, struct position position,
                         struct weir_slice text, struct server_options *ret_server)
{
    struct reading reading = {report, position, text, .url = {.scheme = SCHEME_HTTP}};
    if (slice_starts(text, SLICE("h2c://")))
        read_url(&reading);
    else
        tell(&reading, url_read_host_port(text, &reading.url));
    give_server(&reading, memory, ret_server);
}

void address_read_url(struct report *report, struct memory *memory, struct position position,
                      struct weir_slice text, struct server_options *ret_server)
{
    struct reading reading = {report, position, text, .url = {.scheme = SCHEME_HTTP}};
    read_url(&reading);
    give_server(&reading, memory, ret_server);
}

void address_read_ip(struct report *report, struct position position, struct weir_slice text,
                     struct addr *ret_addr)
{
    struct reading reading = {report, position, text, .url = {.scheme = SCHEME_HTTP}};
    if (addr_parse_ip(text, ret_addr) != WEIR_OK)
        tell(&reading, "not an IP address without a port");
}

void address_read_ip_port(struct report *report, struct position position, struct weir_slice text,
                          struct addr *ret_addr)
{
    struct reading reading = {report, position, text, .url = {.scheme = SCHEME_HTTP}};
    struct addr addr;
    if (addr_parse_ip(text, &addr) == WEIR_OK ||
        (addr_parse(text, &addr) == WEIR_OK && !addr_is_local(&addr) && text.at[0] != ':'))
        *ret_addr = addr;
    else
        tell(&reading, "not an IP address, with or without a port");
}
