# SPDX-License-Identifier: MIT
"""Frames of HTTP/2 as a server sees them come, by the names that RFC 9113 has for them."""

import struct

import h2_frames

KINDS = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
         "WINDOW_UPDATE", "CONTINUATION")
ERRORS = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
          "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
          "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")
SETTINGS = {getattr(h2_frames, name): name for name in (
    "HEADER_TABLE_SIZE", "ENABLE_PUSH", "MAX_CONCURRENT_STREAMS", "INITIAL_WINDOW_SIZE",
    "MAX_FRAME_SIZE", "MAX_HEADER_LIST_SIZE", "NO_RFC7540_PRIORITIES")}
HEAD_SIZE = 9


def code_of(name):
    """The number of an error or a setting."""
    return getattr(h2_frames, name)


class Frame:
    """One frame; types, errors and settings that have no name are numbers."""

    def __init__(self, raw):
        self.raw = raw
        number = raw[3]
        self.kind = KINDS[number] if number < len(KINDS) else number
        self.flags = raw[4]
        self.stream = int.from_bytes(raw[5:9], "big") & h2_frames.LARGEST
        self.payload = raw[HEAD_SIZE:]

    @property
    def is_ack(self):
        return self.kind in ("SETTINGS", "PING") and bool(self.flags & h2_frames.ACK)

    @property
    def error(self):
        """Of RST_STREAM and GOAWAY."""
        at = {"RST_STREAM": 0, "GOAWAY": 4}[self.kind]
        code = int.from_bytes(self.payload[at:at + 4], "big")
        return ERRORS[code] if code < len(ERRORS) else code

    @property
    def increment(self):
        """Of WINDOW_UPDATE."""
        return int.from_bytes(self.payload, "big")

    @property
    def settings(self):
        return {SETTINGS.get(code, code): value
                for code, value in struct.iter_unpack(">HI", self.payload)}

    def __repr__(self):
        return f"<{self.kind} stream {self.stream} flags {self.flags:#x} {self.payload[:32]!r}>"


def cut(buffer):
    """Take the next whole frame off the front of the buffer; None if it is not all there."""
    if len(buffer) < HEAD_SIZE:
        return None
    size = HEAD_SIZE + int.from_bytes(buffer[:3], "big")
    if len(buffer) < size:
        return None
    raw = bytes(buffer[:size])
    del buffer[:size]
    return Frame(raw)
