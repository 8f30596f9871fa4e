/* SPDX-License-Identifier: MIT */
#ifndef STREAM_PREFACE_H
#define STREAM_PREFACE_H

/*
 * What a proxy says of a connection before the connection's own bytes: whose it is. The PROXY
 * protocol of haproxy's proxy-protocol.txt, version 1 (a line of text) and version 2 (binary). The
 * sections named here and in preface.c are that text's. Pure: no socket, no clock, no heap.
 */

#include "io/addr.h"

enum preface_version {
    PREFACE_NONE,
    PREFACE_V1,
    PREFACE_V2,
};

enum {
    PREFACE_BYTES_MAX = 232,           /* the longest that is written: Unix paths in version 2 */
    PREFACE_ACCEPTED_BYTES_MAX = 4096, /* the longest that is read, with all that it carries */
};

struct preface {
    bool is_local;      /* the sender's own connection (a health check): both ends are unknown */
    struct addr source; /* .len 0: unknown, the connection's own end counts */
    struct addr destination;
};

/*
 * Writes what is to be sent first on a connection that is made for `source`, which had connected to
 * `destination`; returns the length, 0 for PREFACE_NONE.
 *
 * IPv4 in IPv6's form is written as IPv4, unless the other end is IPv6 proper: then both are IPv6.
 * An unknown destination is written as the address that is all zeros. An unknown source says that
 * the connection is our own: UNKNOWN in version 1, LOCAL in version 2. Many receivers refuse
 * UNKNOWN, so that a check in version 1 better gives both ends of its own connection (section 2.1).
 * Ends that no family has in common, and Unix paths in version 1, are a client's whose address
 * cannot be said: UNKNOWN, and PROXY without a family.
 */
size_t preface_write(enum preface_version version, const struct addr *source,
                     const struct addr *destination, char ret_bytes[static PREFACE_BYTES_MAX]);

enum preface_result {
    PREFACE_MORE, /* the beginning of a preface, not whole: come again with the same and more */
    PREFACE_DONE, /* a whole one; *ret_used of the bytes are its */
    PREFACE_BAD,  /* no preface, whatever follows */
};

/*
 * Reads a preface of either version from the front of `bytes`. Strict, and BAD at the first byte
 * that no preface has there; only a checksum is judged at the end. What is longer than
 * PREFACE_ACCEPTED_BYTES_MAX is BAD when its length is told.
 *
 * What may be sent but says no address (UNKNOWN, LOCAL, no family, no stream, a Unix path that
 * fills its field) is DONE with unknown ends. An unnamed Unix socket, and one with an abstract
 * name, has no path. The type-length-value vectors of version 2 must fill what is behind the
 * addresses, and a checksum among them must be right; the others are not looked at, nor is
 * anything behind the head of a preface that says no address.
 */
enum preface_result preface_parse(struct weir_slice bytes, struct preface *ret_preface,
                                  size_t *ret_used);

#endif
