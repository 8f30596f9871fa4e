# SPDX-License-Identifier: MIT
"""A ClientHello made by hand (RFC 5246 section 7.4.1.2), which can offer what no library of today
does, and what a server says to it: a ServerHello, an alert, or an end."""

import os
import struct

import sockets
from framing import Cut, Reader

ALERT, HANDSHAKE = 21, 22
ALERTS = {10: "unexpected_message", 40: "handshake_failure", 47: "illegal_parameter",
          50: "decode_error", 70: "protocol_version", 71: "insufficient_security",
          80: "internal_error", 86: "inappropriate_fallback", 109: "missing_extension",
          112: "unrecognized_name", 120: "no_application_protocol"}
# X25519, P-256, P-384
GROUPS = [0x001D, 0x0017, 0x0018]
# ECDSA and RSA (PSS, PKCS#1), with SHA-256, SHA-384 and SHA-1
SIGNATURES = [0x0403, 0x0503, 0x0804, 0x0805, 0x0401, 0x0501, 0x0203, 0x0201]


def short(*numbers):
    return struct.pack(f">{len(numbers)}H", *numbers)


def counted(content, size=2):
    """The content with its length before it."""
    return len(content).to_bytes(size, "big") + content


class Answer:
    """What came: `version`, `cipher` and `compression` of a ServerHello, or the name of an `alert`;
    none of them: the connection ended."""

    def __init__(self, kind=None, body=b""):
        self.version = self.cipher = self.compression = self.alert = None
        if kind == ALERT:
            self.alert = ALERTS.get(body[1], str(body[1]))
        elif kind == HANDSHAKE:
            assert body[0] == 2, f"no ServerHello: {body[:80]!r}"
            after_id = 4 + 2 + 32 + 1 + body[38]
            self.version = int.from_bytes(body[4:6], "big")
            self.cipher = int.from_bytes(body[after_id:after_id + 2], "big")
            self.compression = body[after_id + 2]

    def __repr__(self):
        return f"<{self.__dict__}>"


class ClientHello:
    def __init__(self, version=0x0303, ciphers=(0xC02B, 0xC02F, 0xC02C, 0xC030),
                 compressions=b"\0", name="edge.test", fallback=False):
        self.version = version
        self.ciphers = [*ciphers, *([0x5600] if fallback else [])]
        self.compressions = compressions
        self.name = name

    def extensions(self):
        listed = {
            0: counted(b"\0" + counted(self.name.encode())),
            10: counted(short(*GROUPS)),
            11: counted(b"\0", 1),
            13: counted(short(*SIGNATURES)),
            0xFF01: counted(b"", 1),
        }
        return b"".join(short(kind) + counted(content) for kind, content in listed.items())

    def wire(self):
        body = (short(self.version) + os.urandom(32) + counted(b"", 1)
                + counted(short(*self.ciphers)) + counted(self.compressions, 1)
                + counted(self.extensions()))
        record_version = min(self.version, 0x0301)
        return (bytes([HANDSHAKE]) + short(record_version)
                + counted(b"\x01" + counted(body, 3)))

    def half(self):
        wire = self.wire()
        return wire[:len(wire) // 2]

    def ask(self, server):
        """Send it; the server's answer."""
        address = server if isinstance(server, str) else server.address
        sock = sockets.connect(address)
        try:
            sock.sendall(self.wire())
            head = Reader(sock)
            kind, _, length = struct.unpack(">BHH", head.exactly(5))
            return Answer(kind, head.exactly(length))
        except Cut:
            return Answer()
        finally:
            sock.close()
