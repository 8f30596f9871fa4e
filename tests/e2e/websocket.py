# SPDX-License-Identifier: MIT
"""As much of RFC 6455 as an echo needs: the handshake and unfragmented frames up to 125 bytes."""

import base64
import hashlib

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x11\x22\x33\x44"
TEXT, CLOSE = 1, 8

UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\nSec-WebSocket-Version: 13\r\n\r\n")


def accept_key(key):
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def frame(content, opcode=TEXT, masked=False):
    assert len(content) < 126
    head = bytes([0x80 | opcode, len(content) | (0x80 if masked else 0)])
    return head + (MASK + _mask(content, MASK) if masked else content)


def read_frame(reader):
    """An opcode and its content."""
    first, second = reader.exactly(2)
    assert first & 0xF0 == 0x80, "fragmented, or extension bits"
    mask = reader.exactly(4) if second & 0x80 else bytes(4)
    return first & 0x0F, _mask(reader.exactly(second & 0x7F), mask)


def _mask(content, mask):
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))


def switch(exchange, first=b""):
    """Answer 101 to an upgrade request, `first` right behind the head."""
    assert exchange.get("upgrade").lower() == "websocket"
    assert "upgrade" in exchange.head.tokens("connection")
    accept = accept_key(exchange.get("sec-websocket-key")).encode()
    exchange.send(exchange.labelled(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n") + first)


def echo(exchange):
    """A behaviour: switch, echo frames until a close frame, answer that and end."""
    switch(exchange)
    opcode = TEXT
    while opcode != CLOSE:
        opcode, content = read_frame(exchange.connection.reader)
        exchange.send(frame(content, opcode))
    exchange.fin()
