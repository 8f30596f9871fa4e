/* SPDX-License-Identifier: MIT */
#include "stream/preface.h"

#include "base/check.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

enum {
    /* Version 1, section 2.1. An address has at most 39 bytes there, so that only the text behind
       UNKNOWN can make a line too long. */
    LINE_BYTES_MAX = 107,
    ADDRESS_TEXT_MAX = 39,
    UNKNOWN_TEXT_MAX = LINE_BYTES_MAX - (int)sizeof("PROXY UNKNOWN\r\n") + 1,
    PORT_MAX = 65535,

    /* Version 2, section 2.2: where things are in the head, and what they may be */
    HEAD_BYTES = 16,
    COMMAND_AT = 12,
    KIND_AT = 13,
    LENGTH_AT = 14,
    COMMAND_LOCAL = 0x20,
    COMMAND_PROXY = 0x21,
    FAMILY_MAX = 3,    /* Unix */
    TRANSPORT_MAX = 2, /* datagrams */
    PATH_BYTES = 108,

    /* its vectors: type, length in two bytes, value */
    VECTOR_HEAD_BYTES = 3,
    TYPE_CHECKSUM = 3,
    CHECKSUM_BYTES = 4,
};

/* The whole of a LOCAL preface, and the head of any other but for four bytes. */
static const char local_head[HEAD_BYTES] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";

/* What a preface can say of a connection. */
struct kind {
    int family;
    struct weir_slice name; /* in version 1; where addresses follow, with the space before them */
    uint8_t code;           /* in version 2: the family, and that it is a stream */
    uint8_t address_bytes;
    uint8_t block_bytes; /* two addresses, and two ports for IP */
};

/* The first is for whatever has no other. */
static const struct kind kinds[] = {
    {AF_UNSPEC, SLICE("UNKNOWN"), 0x00, 0, 0},
    {AF_INET, SLICE("TCP4 "), 0x11, 4, 12},
    {AF_INET6, SLICE("TCP6 "), 0x21, 16, 36},
    {AF_UNIX, SLICE("UNKNOWN"), 0x31, PATH_BYTES, 216},
};

static bool is_ip(int family)
{
    return family == AF_INET || family == AF_INET6;
}

static struct addr ip_addr(int family, const void *ip, uint16_t port)
{
    struct addr addr = {0};
    addr.any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        addr.len = sizeof addr.v4;
        memcpy(&addr.v4.sin_addr, ip, sizeof addr.v4.sin_addr);
    } else {
        addr.len = sizeof addr.v6;
        memcpy(&addr.v6.sin6_addr, ip, sizeof addr.v6.sin6_addr);
    }
    addr_set_port(&addr, port);
    return addr;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static const void *ip_of(const struct addr *addr)
{
    return addr->any.sa_family == AF_INET ? (const void *)&addr->v4.sin_addr
                                          : (const void *)&addr->v6.sin6_addr;
}

/* A dual-stack listener sees IPv4 clients as ::ffff:a.b.c.d: to IPv4. */
static void unmap(struct addr *addr)
{
    if (addr->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr))
        *addr = ip_addr(AF_INET, &addr->v6.sin6_addr.s6_addr[12], addr_port(addr));
}

/* The other way. */
static void map(struct addr *addr)
{
    unsigned char ip[16] = {[10] = 0xff, [11] = 0xff};
    if (addr->any.sa_family == AF_INET6)
        return;
    memcpy(&ip[12], &addr->v4.sin_addr, sizeof addr->v4.sin_addr);
    *addr = ip_addr(AF_INET6, ip, addr_port(addr));
}

/* Where a listener takes connections to whatever address, that is all it knows but the port. */
static bool is_any(const struct addr *addr)
{
    static const struct in6_addr zeros;
    if (addr->any.sa_family == AF_INET)
        return addr->v4.sin_addr.s_addr == 0;
    return addr->any.sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&addr->v6.sin6_addr, &zeros);
}

/* All zeros, of the other's family. */
static void take_family(struct addr *addr, const struct addr *other)
{
    uint16_t port = addr->len > 0 ? addr_port(addr) : 0;
    *addr = (struct addr){.len = other->len};
    addr->any.sa_family = other->any.sa_family;
    if (is_ip(other->any.sa_family))
        addr_set_port(addr, port);
}

/* Makes both of one family, and returns it; AF_UNSPEC when there is none for both. */
static int agree(struct addr *source, struct addr *destination)
{
    if (source->len == 0)
        return AF_UNSPEC;
    unmap(source);
    if (destination->len == 0 || is_any(destination))
        take_family(destination, source);
    unmap(destination);
    if (source->any.sa_family == destination->any.sa_family)
        return source->any.sa_family;
    if (!is_ip(source->any.sa_family) || !is_ip(destination->any.sa_family))
        return AF_UNSPEC;
    map(source);
    map(destination);
    return AF_INET6;
}

static const struct kind *kind_of_family(int family)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (kinds[i].family == family)
            return &kinds[i];
    return &kinds[0];
}

/* inet_ntop() ends some IPv6 addresses in IPv4's digits and dots, which section 2.1 does not have.
 */
static const char *print_ip(const struct addr *addr, char ret_text[static INET6_ADDRSTRLEN])
{
    inet_ntop(addr->any.sa_family, ip_of(addr), ret_text, INET6_ADDRSTRLEN);
    if (addr->any.sa_family == AF_INET6 && strchr(ret_text, '.')) {
        const uint8_t *ip = addr->v6.sin6_addr.s6_addr;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr);
        snprintf(ret_text, INET6_ADDRSTRLEN, "::%s%x:%x", is_mapped ? "ffff:" : "",
                 ip[12] << 8 | ip[13], ip[14] << 8 | ip[15]);
    }
    return ret_text;
}

static size_t write_line(const struct kind *kind, const struct addr *source,
                         const struct addr *destination, char *ret_bytes)
{
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    int length;
    if (is_ip(kind->family))
        length = snprintf(ret_bytes, PREFACE_BYTES_MAX, "PROXY %.*s%s %s %u %u\r\n",
                          SLICE_ARGS(kind->name), print_ip(source, from), print_ip(destination, to),
                          addr_port(source), addr_port(destination));
    else
        length = snprintf(ret_bytes, PREFACE_BYTES_MAX, "PROXY %.*s\r\n", SLICE_ARGS(kind->name));
    must(length > 0 && length <= LINE_BYTES_MAX);
    return (size_t)length;
}

static char *put(char *at, const void *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}

static char *put_path(char *at, const struct addr *addr)
{
    must(addr->len >= offsetof(struct sockaddr_un, sun_path));
    size_t length = addr->len - offsetof(struct sockaddr_un, sun_path);
    memset(at, 0, PATH_BYTES);
    memcpy(at, addr->local.sun_path, length < PATH_BYTES ? length : PATH_BYTES);
    return at + PATH_BYTES;
}

static size_t write_block(const struct kind *kind, const struct addr *source,
                          const struct addr *destination, char *ret_bytes)
{
    char *at = put(ret_bytes, local_head, HEAD_BYTES);
    if (source->len == 0)
        return HEAD_BYTES;
    ret_bytes[COMMAND_AT] = COMMAND_PROXY;
    ret_bytes[KIND_AT] = (char)kind->code;
    ret_bytes[LENGTH_AT + 1] = (char)kind->block_bytes;
    if (is_ip(kind->family)) {
        const uint16_t ports[] = {htons(addr_port(source)), htons(addr_port(destination))};
        at = put(at, ip_of(source), kind->address_bytes);
        at = put(at, ip_of(destination), kind->address_bytes);
        put(at, ports, sizeof ports);
    } else if (kind->family == AF_UNIX) {
        put_path(put_path(at, source), destination);
    }
    return HEAD_BYTES + (size_t)kind->block_bytes;
}

size_t preface_write(enum preface_version version, const struct addr *source,
                     const struct addr *destination, char ret_bytes[static PREFACE_BYTES_MAX])
{
    if (version == PREFACE_NONE)
        return 0;
    struct addr from = *source, to = *destination;
    const struct kind *kind = kind_of_family(agree(&from, &to));
    return version == PREFACE_V1 ? write_line(kind, &from, &to, ret_bytes)
                                 : write_block(kind, &from, &to, ret_bytes);
}

/* --- Reading version 1 ------------------------------------------------------------------------ */

/*
 * Each of these reads one part from the front of `rest`. PREFACE_MORE: `rest` ends within the part,
 * which may yet become good.
 */

static enum preface_result read_text(struct weir_slice *rest, struct weir_slice text)
{
    size_t length = rest->len < text.len ? rest->len : text.len;
    if (!slice_equal(slice_of(rest->at, length), slice_of(text.at, length)))
        return PREFACE_BAD;
    if (length < text.len)
        return PREFACE_MORE;
    *rest = slice_skip(*rest, length);
    return PREFACE_DONE;
}

static enum preface_result read_kind(struct weir_slice *rest, const struct kind **ret_kind)
{
    enum preface_result best = PREFACE_BAD;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        enum preface_result result = read_text(rest, kinds[i].name);
        if (result == PREFACE_DONE) {
            *ret_kind = &kinds[i];
            return PREFACE_DONE;
        }
        if (result == PREFACE_MORE)
            best = PREFACE_MORE;
    }
    return best;
}

/* A part that ends before `end`, which goes with it; false when `end` is not here yet. */
static bool read_field(struct weir_slice *rest, char end, struct weir_slice *ret_field)
{
    size_t length = slice_find(*rest, end);
    bool is_whole = length < rest->len;
    *ret_field = slice_of(rest->at, length);
    *rest = slice_skip(*rest, length + is_whole);
    return is_whole;
}

/* Whether `text` is an address once `ending` is behind it. */
static bool is_address(int family, struct weir_slice text, const char *ending, void *ret_ip)
{
    char whole[ADDRESS_TEXT_MAX + 1];
    size_t ending_length = strlen(ending);
    if (text.len + ending_length > ADDRESS_TEXT_MAX || slice_find(text, '\0') != text.len)
        return false;
    memcpy(put(whole, text.at, text.len), ending, ending_length + 1);
    return inet_pton(family, whole, ret_ip) == 1;
}

/* Whether an address may begin so: one of the shortest endings then makes it whole. */
static bool begins_address(int family, struct weir_slice text)
{
    static const char *const endings[] = {
        "", "0", ":", "::", ".0", "0.0", ".0.0", "0.0.0", ".0.0.0", "0.0.0.0",
    };
    unsigned char ignored[16];
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (is_address(family, text, endings[i], ignored))
            return true;
    return false;
}

static enum preface_result read_address(struct weir_slice *rest, int family, struct addr *ret_addr)
{
    struct weir_slice text;
    unsigned char ip[16];
    if (!read_field(rest, ' ', &text))
        return begins_address(family, text) ? PREFACE_MORE : PREFACE_BAD;
    if (!is_address(family, text, "", ip))
        return PREFACE_BAD;
    *ret_addr = ip_addr(family, ip, 0);
    return PREFACE_DONE;
}

static enum preface_result read_port(struct weir_slice *rest, char end, struct addr *addr)
{
    struct weir_slice text;
    uint64_t port;
    bool is_whole = read_field(rest, end, &text);
    if (text.len == 0)
        return is_whole ? PREFACE_BAD : PREFACE_MORE;
    if ((text.at[0] == '0' && text.len > 1) || !slice_to_u64(text, &port) || port > PORT_MAX)
        return PREFACE_BAD;
    if (!is_whole)
        return PREFACE_MORE;
    addr_set_port(addr, (uint16_t)port);
    return PREFACE_DONE;
}

static enum preface_result read_ends(struct weir_slice *rest, int family, struct preface *preface)
{
    enum preface_result result = read_address(rest, family, &preface->source);
    if (result == PREFACE_DONE)
        result = read_address(rest, family, &preface->destination);
    if (result == PREFACE_DONE)
        result = read_port(rest, ' ', &preface->source);
    if (result == PREFACE_DONE)
        result = read_port(rest, '\r', &preface->destination);
    return result;
}

/*
 * What is behind UNKNOWN says nothing, but it ends where every reader sees its end: at the only CR
 * and the only LF.
 */
static enum preface_result skip_text(struct weir_slice *rest)
{
    struct weir_slice text;
    bool is_whole = read_field(rest, '\r', &text);
    if (text.len > UNKNOWN_TEXT_MAX || slice_find(text, '\n') != text.len ||
        (text.len > 0 && text.at[0] != ' '))
        return PREFACE_BAD;
    return is_whole ? PREFACE_DONE : PREFACE_MORE;
}

static enum preface_result parse_line(struct weir_slice bytes, struct preface *ret_preface,
                                      size_t *ret_used)
{
    struct preface preface = {0};
    struct weir_slice rest = bytes;
    const struct kind *kind;
    enum preface_result result = read_text(&rest, SLICE("PROXY "));
    if (result == PREFACE_DONE)
        result = read_kind(&rest, &kind);
    if (result == PREFACE_DONE)
        result = is_ip(kind->family) ? read_ends(&rest, kind->family, &preface) : skip_text(&rest);
    if (result == PREFACE_DONE)
        result = read_text(&rest, SLICE("\n"));
    if (result == PREFACE_DONE) {
        *ret_preface = preface;
        *ret_used = bytes.len - rest.len;
    }
    return result;
}

/* --- Reading version 2 ------------------------------------------------------------------------ */

static unsigned byte_at(struct weir_slice bytes, size_t at)
{
    return (unsigned char)bytes.at[at];
}

static uint16_t u16_at(struct weir_slice bytes, size_t at)
{
    return (uint16_t)(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

/* Section 2.2: what has no meaning is refused; of a LOCAL preface the family is not looked at. */
static bool is_assigned(unsigned command, unsigned code)
{
    if (command == COMMAND_LOCAL)
        return true;
    return command == COMMAND_PROXY && code >> 4 <= FAMILY_MAX && (code & 15) <= TRANSPORT_MAX;
}

/* The kind whose addresses can be read; the first for those that are passed over. */
static const struct kind *kind_of_code(unsigned command, unsigned code)
{
    for (size_t i = 0; i < COUNT_OF(kinds) && command == COMMAND_PROXY; i++)
        if (kinds[i].code == code)
            return &kinds[i];
    return &kinds[0];
}

/*
 * The length of the value of the vector that begins `bytes`, of which there may be a byte only;
 * `room` is what is left for the value and what follows. A checksum has one length only, so that it
 * is known from its type.
 */
static enum preface_result read_vector(struct weir_slice bytes, size_t room, size_t *ret_length)
{
    bool is_checksum = byte_at(bytes, 0) == TYPE_CHECKSUM;
    size_t length = is_checksum ? CHECKSUM_BYTES : 0;
    if (bytes.len >= VECTOR_HEAD_BYTES)
        length = u16_at(bytes, 1);
    else if (bytes.len == VECTOR_HEAD_BYTES - 1)
        length |= byte_at(bytes, 1) << 8;
    if (length > room || (is_checksum && length != CHECKSUM_BYTES))
        return PREFACE_BAD;
    *ret_length = length;
    return is_checksum || bytes.len >= VECTOR_HEAD_BYTES ? PREFACE_DONE : PREFACE_MORE;
}

/*
 * The vectors from `at` to `end`, as far as they are here; where the checksum lies, 0 for none. Two
 * checksums are refused: it is not said what either would be of.
 */
static enum preface_result read_vectors(struct weir_slice bytes, size_t at, size_t end,
                                        size_t *ret_checksum_at)
{
    size_t checksum_at = 0;
    while (at < end) {
        size_t length;
        if (end - at < VECTOR_HEAD_BYTES)
            return PREFACE_BAD;
        if (at >= bytes.len)
            return PREFACE_MORE;
        size_t value_at = at + VECTOR_HEAD_BYTES;
        enum preface_result result = read_vector(slice_skip(bytes, at), end - value_at, &length);
        if (result != PREFACE_DONE)
            return result;
        if (byte_at(bytes, at) == TYPE_CHECKSUM) {
            if (checksum_at > 0)
                return PREFACE_BAD;
            checksum_at = value_at;
        }
        at = value_at + length;
    }
    *ret_checksum_at = checksum_at;
    return bytes.len < end ? PREFACE_MORE : PREFACE_DONE;
}

/* CRC32c of all bytes, with its own four taken for zeros (section 2.2.3). */
static uint32_t checksum_of(struct weir_slice bytes, size_t checksum_at)
{
    const uint32_t polynomial = 0x82f63b78; /* bits reversed */
    uint32_t sum = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        bool is_its_own = i >= checksum_at && i < checksum_at + CHECKSUM_BYTES;
        sum ^= is_its_own ? 0 : byte_at(bytes, i);
        for (unsigned bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? polynomial : 0);
    }
    return ~sum;
}

static bool is_checksum_right(struct weir_slice bytes, size_t checksum_at)
{
    uint32_t told = (uint32_t)u16_at(bytes, checksum_at) << 16 | u16_at(bytes, checksum_at + 2);
    return told == checksum_of(bytes, checksum_at);
}

/* Unknown, when no room is left for the NUL that an address' path ends in. */
static struct addr path_addr(const char *path)
{
    struct addr addr = {.local = {.sun_family = AF_UNIX}};
    _Static_assert(sizeof addr.local.sun_path >= PATH_BYTES, "the field is Linux's");
    size_t length = slice_find(slice_of(path, PATH_BYTES), '\0');
    if (length == PATH_BYTES)
        return (struct addr){0};
    memcpy(addr.local.sun_path, path, length);
    addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (length > 0));
    return addr;
}

static void read_block(struct weir_slice block, const struct kind *kind, struct preface *preface)
{
    const char *source = block.at, *destination = block.at + kind->address_bytes;
    if (is_ip(kind->family)) {
        size_t ports_at = 2 * (size_t)kind->address_bytes;
        preface->source = ip_addr(kind->family, source, u16_at(block, ports_at));
        preface->destination = ip_addr(kind->family, destination, u16_at(block, ports_at + 2));
    } else if (kind->family == AF_UNIX) {
        preface->source = path_addr(source);
        preface->destination = path_addr(destination);
    }
}

/* `bytes` has a good head, and is told to end at `end`. */
static enum preface_result parse_block(struct weir_slice bytes, size_t end,
                                       struct preface *ret_preface, size_t *ret_used)
{
    unsigned command = byte_at(bytes, COMMAND_AT);
    const struct kind *kind = kind_of_code(command, byte_at(bytes, KIND_AT));
    struct preface preface = {.is_local = command == COMMAND_LOCAL};
    if (kind->family != AF_UNSPEC) {
        size_t vectors_at = HEAD_BYTES + (size_t)kind->block_bytes, checksum_at;
        if (end < vectors_at)
            return PREFACE_BAD;
        enum preface_result result = read_vectors(bytes, vectors_at, end, &checksum_at);
        if (result != PREFACE_DONE)
            return result;
        if (checksum_at > 0 && !is_checksum_right(slice_of(bytes.at, end), checksum_at))
            return PREFACE_BAD;
        read_block(slice_skip(bytes, HEAD_BYTES), kind, &preface);
    }
    if (bytes.len < end)
        return PREFACE_MORE;
    *ret_preface = preface;
    *ret_used = end;
    return PREFACE_DONE;
}

static enum preface_result parse_head(struct weir_slice bytes, struct preface *ret_preface,
                                      size_t *ret_used)
{
    /* what is not here yet is taken for the least that is good */
    char filled[HEAD_BYTES];
    struct weir_slice head = slice_of(filled, HEAD_BYTES);
    memcpy(filled, local_head, HEAD_BYTES);
    memcpy(filled, bytes.at, bytes.len < HEAD_BYTES ? bytes.len : HEAD_BYTES);
    if (memcmp(filled, local_head, COMMAND_AT) != 0 ||
        !is_assigned(byte_at(head, COMMAND_AT), byte_at(head, KIND_AT)))
        return PREFACE_BAD;
    size_t end = HEAD_BYTES + (size_t)u16_at(head, LENGTH_AT);
    if (end > PREFACE_ACCEPTED_BYTES_MAX)
        return PREFACE_BAD;
    return bytes.len < HEAD_BYTES ? PREFACE_MORE : parse_block(bytes, end, ret_preface, ret_used);
}

enum preface_result preface_parse(struct weir_slice bytes, struct preface *ret_preface,
                                  size_t *ret_used)
{
    if (bytes.len == 0)
        return PREFACE_MORE;
    return bytes.at[0] == local_head[0] ? parse_head(bytes, ret_preface, ret_used)
                                        : parse_line(bytes, ret_preface, ret_used);
}
