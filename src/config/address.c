/* SPDX-License-Identifier: MIT */
#include "config/address.h"

#include "base/slice.h"
#include "config/value.h"

#include <netdb.h>
#include <string.h>

enum { PORT_MAX = 65535, HOST_BYTES_MAX = 253, HTTP_PORT = 80 };

/* What is being read, for messages. */
struct reading {
    struct report *report;
    struct position position;
    struct weir_slice text;
};

/* One mistake: what was written, and what is wrong with it. */
static void reject(const struct reading *reading, const char *reason)
{
    char escaped[LOG_ESCAPED_SIZE];
    report_error(reading->report, reading->position, "'%s': %s", log_escape(reading->text, escaped),
                 reason);
}

static void read_path(const struct reading *reading, struct weir_slice text, struct addr *ret_addr)
{
    if (text.len < 6 || text.at[5] != '/')
        reject(reading, "the path of a Unix socket begins with '/': unix:/run/app.sock");
    else if (addr_parse(text, ret_addr) != WEIR_OK)
        reject(reading, "the path of a Unix socket has at most 107 bytes");
}

/* The port, or -1 when it is none. */
static int port_of(struct weir_slice text, enum address_use use)
{
    uint64_t port;
    if (!slice_to_u64(text, &port) || port > PORT_MAX || (port == 0 && use == ADDRESS_CONNECT))
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

/* The first address of a name, which is not resolved again. */
static void look_up(const struct reading *reading, struct weir_slice host, int port,
                    struct addr *ret_addr)
{
    char name[HOST_BYTES_MAX + 1];
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    memcpy(name, host.at, host.len);
    name[host.len] = '\0';
    int error = getaddrinfo(name, NULL, &wanted, &found);
    if (error != 0) {
        report_error(reading->report, reading->position, "cannot resolve '%s': %s", name,
                     gai_strerror(error));
        return;
    }
    struct addr addr = {.len = found->ai_addrlen};
    memcpy(&addr.any, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    addr_set_port(&addr, (uint16_t)port);
    *ret_addr = addr;
}

static void read_host(const struct reading *reading, struct weir_slice host, int port,
                      struct addr *ret_addr)
{
    struct addr addr;
    bool has_colon = slice_find(host, ':') != host.len;
    bool has_brackets = host.len > 0 && host.at[0] == '[';
    char ignored[HOST_BYTES_MAX];
    if ((!has_colon || has_brackets) && addr_parse_ip(host, &addr) == WEIR_OK) {
        addr_set_port(&addr, (uint16_t)port);
        *ret_addr = addr;
    } else if (has_colon || has_brackets) {
        reject(reading, "an IPv6 address is written in brackets: [::1]:8080");
    } else if (host.len == 0) {
        reject(reading, "the host is missing");
    } else if (is_dotted_number(host)) {
        reject(reading, "not an IP address");
    } else if (host.len > sizeof ignored || host.at[0] == '*' || !value_host(host, ignored)) {
        reject(reading, "not a host name");
    } else {
        look_up(reading, host, port, ret_addr);
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

void address_read(struct report *report, struct position position, struct weir_slice text,
                  enum address_use use, struct addr *ret_addr)
{
    struct reading reading = {report, position, text};
    if (slice_starts(text, SLICE("unix:"))) {
        read_path(&reading, text, ret_addr);
        return;
    }
    if (memmem(text.at, text.len, "://", 3)) {
        reject(&reading, "an address, not a URL, belongs here: host:port");
        return;
    }
    size_t length = host_length(text);
    if (length == text.len) {
        reject(&reading, "the port is missing: host:port");
        return;
    }
    int port = port_of(slice_skip(text, length + 1), use);
    struct weir_slice host = slice_of(text.at, length);
    if (port < 0)
        reject(&reading, use == ADDRESS_LISTEN ? "a port is a number from 0 to 65535"
                                               : "a port is a number from 1 to 65535");
    else if (use == ADDRESS_LISTEN && host.len == 0)
        read_host(&reading, SLICE("[::]"), port, ret_addr);
    else
        read_host(&reading, host, port, ret_addr);
}

/* NULL when the text may go on as an http URL. */
static const char *wrong_scheme(struct weir_slice text)
{
    static const struct weir_slice later[] = {SLICE("https://"), SLICE("h2c://"), SLICE("exec:")};
    static const char *const reasons[] = {
        "https:// is not supported by this version",
        "h2c:// is not supported by this version",
        "exec: is not supported by this version",
    };
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (slice_starts(text, later[i]))
            return reasons[i];
    if (!slice_starts(text, SLICE("http://")))
        return "not a URL such as http://127.0.0.1:9001 or unix:/run/app.sock";
    return NULL;
}

void address_read_url(struct report *report, struct position position, struct weir_slice text,
                      struct addr *ret_addr)
{
    struct reading reading = {report, position, text};
    if (slice_starts(text, SLICE("unix:"))) {
        read_path(&reading, text, ret_addr);
        return;
    }
    const char *wrong = wrong_scheme(text);
    if (wrong) {
        reject(&reading, wrong);
        return;
    }
    struct weir_slice authority = slice_skip(text, strlen("http://"));
    size_t end = 0;
    while (end < authority.len && !strchr("/?#@", authority.at[end]))
        end++;
    struct weir_slice rest = slice_skip(authority, end);
    if (rest.len > 0 && !slice_equal(rest, SLICE("/"))) {
        reject(&reading, rest.at[0] == '@' ? "a user in a URL is not supported"
                                           : "a path in a URL is not supported");
        return;
    }
    authority.len = end;
    size_t length = host_length(authority);
    int port = HTTP_PORT;
    if (length < authority.len)
        port = port_of(slice_skip(authority, length + 1), ADDRESS_CONNECT);
    if (port < 0)
        reject(&reading, "a port is a number from 1 to 65535");
    else
        read_host(&reading, slice_of(authority.at, length), port, ret_addr);
}

void address_read_ip(struct report *report, struct position position, struct weir_slice text,
                     struct addr *ret_addr)
{
    struct reading reading = {report, position, text};
    if (addr_parse_ip(text, ret_addr) != WEIR_OK)
        reject(&reading, "not an IP address without a port");
}
