# SPDX-License-Identifier: MIT
"""HTTP/2 frames made by hand, and a connection that sends and records them without judging.

`Wire` knows frames and nothing more: it says the preface, acknowledges SETTINGS and PING if it is
to, and keeps all that came in `frames`. With it a test says what no decent library would. h2_client
builds a client of it that keeps the rules.
"""

import collections
import ssl
import struct

import sockets
from framing import Cut, Reader
from waiting import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# --- Types, flags, settings, errors (RFC 9113 sections 6 and 7, RFC 9218 section 7) ---

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)
PRIORITY_UPDATE = 0x10

ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = range(1, 5)
MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 5, 6
ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES = 8, 9

(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED,
 FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR,
 ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED) = range(14)

LARGEST = (1 << 31) - 1  # a stream's number, and a window

Frame = collections.namedtuple("Frame", "kind flags stream payload")
Goaway = collections.namedtuple("Goaway", "last code text")


# --- To write frames ---


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """Its bytes; `length` tells another length than it has."""
    told = len(payload) if length is None else length
    return struct.pack(">I", told)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(values=()):
    """(identifier, value) pairs, or a dict."""
    pairs = values.items() if isinstance(values, dict) else values
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def ping(payload=b"12345678", flags=0):
    return frame(PING, flags, payload=payload)


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def goaway(last=0, code=NO_ERROR, text=b""):
    return frame(GOAWAY, payload=struct.pack(">II", last, code) + text)


def priority(stream, depends_on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", depends_on, weight))


def priority_update(stream, value=b"u=1, i"):
    return frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", stream) + value)


def body(stream, content=b"", end=False):
    """One DATA frame."""
    return frame(DATA, END_STREAM if end else 0, stream, content)


def literal(name, value=b"", indexed=False):
    """A field as HPACK's literal with a new name, in plain bytes, none of them looked at."""
    return (b"\x40" if indexed else b"\0") + string(name) + string(value)


def string(text):
    """As HPACK has it, without Huffman's code (RFC 7541 section 5)."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    left, size = len(text) - 127, b"\x7f"
    while left > 127:
        size += bytes([left & 127 | 128])
        left >>= 7
    return size + bytes([left]) + text


def block(fields):
    """A header block that leaves the server's table of fields as it was."""
    return b"".join(literal(*(part.encode("latin-1") if isinstance(part, str) else part
                              for part in field)) for field in fields)


def request_fields(path="/", method="GET", fields=(), authority="example.test", scheme="http"):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path),
            *fields]


def headers(stream, fields=None, end_stream=True, end_headers=True, raw=None):
    """One HEADERS frame: of these fields, or with the raw header block."""
    content = block(request_fields() if fields is None else fields) if raw is None else raw
    flags = (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0)
    return frame(HEADERS, flags, stream, content)


def continuation(stream, content=b"", end_headers=False):
    return frame(CONTINUATION, END_HEADERS if end_headers else 0, stream, content)


# --- To have a connection of them ---


class Wire:
    """One connection. `server` is an address or anything that has one.

    `preface` (of PROXY) goes first; with `tls`, an ssl.SSLContext, the handshake is done then, with
    `name` as the server's. Unless `greet` is false, HTTP/2's own preface follows with the SETTINGS.
    """

    def __init__(self, server, settings_sent=(), greet=True, receive_buffer=None, preface=b"",
                 tls=None, name="edge.test", session=None):
        address = server if isinstance(server, str) else server.address
        self.sock = sockets.connect(address, receive_buffer)
        self.sock.sendall(preface)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name, session=session,
                                        suppress_ragged_eofs=False)
        self.reader = Reader(self.sock)
        self.frames = []
        self.goaways = []
        self.settings = {}  # the server's, once they came
        self.acknowledges_pings = True
        self.pongs = []
        self.barriers = 0
        if greet:
            self.greet(settings_sent)

    def greet(self, settings_sent):
        self.send(PREFACE + settings(settings_sent))

    @property
    def protocol(self):
        """What ALPN has chosen."""
        return self.sock.selected_alpn_protocol()

    # --- Out ---

    def send(self, *pieces):
        """Send the pieces, each by a call of its own."""
        for piece in pieces:
            self.sock.sendall(piece)

    def send_unless_refused(self, *pieces):
        """As send, for a server that may end the connection before it has read everything."""
        try:
            self.send(*pieces)
        except (ConnectionError, ssl.SSLError):
            pass

    # --- In ---

    def pump(self, seconds=None):
        """Take in what comes next; False: nothing more will, or did within the seconds."""
        self.sock.settimeout(sockets.SOCKET_TIMEOUT if seconds is None else seconds)
        try:
            more = self.reader.fill()
        except TimeoutError:
            if seconds is None:
                raise AssertionError(f"nothing came; until then: {self.frames[-20:]}") from None
            return False
        finally:
            self.sock.settimeout(sockets.SOCKET_TIMEOUT)
        while (each := self.cut_frame()) is not None:
            self.frames.append(each._replace(payload=each.payload[:64]))
            self.take(each)
        self.after_taking()
        return more

    def cut_frame(self):
        """The next whole frame of what has come, or None."""
        buffer = self.reader.buffer
        if len(buffer) < 9:
            return None
        size = int.from_bytes(buffer[:3], "big")
        if len(buffer) < 9 + size:
            return None
        head = self.reader.take(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        assert not stream >> 31, f"the reserved bit is set: {head!r}"
        return Frame(kind, flags, stream, self.reader.take(size))

    def take(self, each):
        """What every connection does with a frame; rules are a client's business."""
        if each.kind == GOAWAY:
            last, code = struct.unpack(">II", each.payload[:8])
            self.goaways.append(Goaway(last, code, each.payload[8:]))
        elif each.kind == SETTINGS and not each.flags & ACK:
            self.settings.update(struct.unpack(">HI", each.payload[at:at + 6])
                                 for at in range(0, len(each.payload), 6))
            self.acknowledge_settings()
        elif each.kind == PING and each.flags & ACK:
            self.pongs.append(each.payload)
        elif each.kind == PING and self.acknowledges_pings:
            self.send_unless_refused(ping(each.payload, ACK))

    def acknowledge_settings(self):
        self.send_unless_refused(frame(SETTINGS, ACK))

    def after_taking(self):
        """What came in one piece was taken."""

    def wait(self, condition, what=None):
        """Take in what comes until condition() is true; its value."""
        while not (value := condition()):
            assert self.pump(), f"the connection ended ({self.reader.end}): no {what}; until " \
                                f"then: {self.frames[-20:]} {self.goaways}"
        return value

    def of(self, kind, stream=None):
        """The frames of that kind that came."""
        return [each for each in self.frames
                if each.kind == kind and stream in (None, each.stream)]

    def wait_for(self, kind, stream=None, count=1):
        """Wait for so many frames of that kind; the last of them."""
        return self.wait(lambda: (came := self.of(kind, stream)) and len(came) >= count and came,
                         f"frame of type {kind} on stream {stream}")[-1]

    def barrier(self):
        """All that the server had sent before it read what was sent until here has come."""
        self.barriers += 1
        mark = struct.pack(">Q", 0xba221e2 << 32 | self.barriers)
        self.send(ping(mark))
        self.wait(lambda: mark in self.pongs, "answer to PING")

    def pump_until_quiet(self, seconds=0.3):
        """Take in what comes until nothing has come for so long."""
        while self.pump(seconds * PATIENCE):
            pass

    def ended(self):
        """Take in what comes until the server ends the connection; how (see Reader). Then close it,
        as clients do: the server need not linger."""
        while self.pump():
            pass
        assert not self.reader.buffer, f"cut within a frame: {bytes(self.reader.buffer)!r}"
        self.close()
        return self.reader.end

    def cut_short(self):
        """As ended(), whatever came before, be it frames or not."""
        self.reader.rest()
        self.close()
        return self.reader.end

    def ended_as(self, code):
        """The server ends the connection, and its GOAWAY says why."""
        self.ended()
        assert self.goaways and self.goaways[-1].code == code, \
            f"{self.goaways} and {self.reader.end}, expected code {code}: {self.frames[-20:]}"
        return self.goaways[-1]

    def http1_answer(self):
        """The head of an answer in HTTP/1, for who was taken for such a client; None: it just
        ended."""
        try:
            return self.reader.head()
        except Cut as cut:
            raise AssertionError(f"neither a head nor a clean end: {cut.partial!r}") from None

    # --- Ends ---

    def reset(self):
        sockets.close_with_reset(self.sock)

    def close(self):
        sockets.say_close(self.sock)
        self.sock.close()


def reset_of(wire, stream):
    """The code with which the server has reset a stream, None if it has not."""
    came = wire.of(RST_STREAM, stream)
    return struct.unpack(">I", came[-1].payload)[0] if came else None
