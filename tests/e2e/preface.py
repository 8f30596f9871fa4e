# SPDX-License-Identifier: MIT
"""The PROXY protocol's preface, versions 1 and 2, as the specification has it."""

import ipaddress
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, TCP6, UNIX = 0x00, 0x11, 0x21, 0x31


class Preface:
    """What it tells. `source` and `target` are (address, port), or None if it tells none."""

    def __init__(self, version, source, target):
        self.version = version
        self.source = source
        self.target = target


# --- To write one ---


def v1(source, port=4711, target=None, target_port=443):
    six = ":" in source
    target = target or ("2001:db8::1" if six else "198.51.100.1")
    return f"PROXY TCP{6 if six else 4} {source} {target} {port} {target_port}\r\n".encode()


def v2(source, port=4711, target=None, target_port=443, extra=b"", command=PROXY):
    """`extra` are type-length-value fields."""
    told = ipaddress.ip_address(source)
    target = ipaddress.ip_address(
        target or ("2001:db8::1" if told.version == 6 else "198.51.100.1"))
    body = told.packed + target.packed + struct.pack(">HH", port, target_port) + extra
    return v2_raw(command, TCP6 if told.version == 6 else TCP4, body)


def v2_raw(command, family, body=b"", length=None):
    return SIGNATURE + struct.pack(">BBH", command, family,
                                   len(body) if length is None else length) + body


# --- To read one off a socket, and not a byte more ---


def exactly(sock, count):
    read = b""
    while len(read) < count:
        piece = sock.recv(count - len(read))
        if not piece:
            raise ConnectionError(f"the preface was cut after {read!r}")
        read += piece
    return read


def receive(sock):
    """The preface that comes first, or None if what comes is something else.

    Told by the first byte: TLS does not begin with P or CR; methods that do are not to be sent.
    """
    first = sock.recv(1, socket.MSG_PEEK)
    if first == b"P":
        return receive_v1(sock)
    return receive_v2(sock) if first == b"\r" else None


def receive_v1(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        assert len(line) < 107, f"longer than a preface may be: {line!r}"
        line += exactly(sock, 1)
    words = line[:-2].decode("ascii").split(" ")
    assert words[0] == "PROXY", line
    if words[1] == "UNKNOWN":
        return Preface(1, None, None)
    family, source, target, port, target_port = words[1:]
    for address in (source, target):
        assert ipaddress.ip_address(address).version == int(family.removeprefix("TCP")), line
    return Preface(1, (source, int(port)), (target, int(target_port)))


def receive_v2(sock):
    head = exactly(sock, 16)
    assert head[:12] == SIGNATURE, head
    command, family, length = struct.unpack(">BBH", head[12:])
    body = exactly(sock, length)
    if command == LOCAL or family not in (TCP4, TCP6):
        assert command in (LOCAL, PROXY), head
        return Preface(2, None, None)
    size = 4 if family == TCP4 else 16
    source, target = (str(ipaddress.ip_address(body[at:at + size])) for at in (0, size))
    ports = struct.unpack(">HH", body[2 * size:2 * size + 4])
    return Preface(2, (source, ports[0]), (target, ports[1]))
