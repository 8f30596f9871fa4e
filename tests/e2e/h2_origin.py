# SPDX-License-Identifier: MIT
"""The scripted origin over HTTP/2: h2c by prior knowledge, or TLS with ALPN.

A connection has one thread that reads, and each stream one for its behaviour, which is a plain
function that gets the Stream and reads top to bottom, as those of origin.py do with an Exchange. It
is found in the same way: by (connection, ordinal), then by path. respond(), body() and hold() mean
the same on both, so a behaviour may serve HTTP/1 too, where a client of TLS chose that.

python3-h2 checks all that comes: whatever breaks RFC 9113, or the limits that were announced, ends
up in `errors`. Frames are cut out before it sees them, so that a test knows each one of them, and
answers can be left out.
"""

import select
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

import h2_frames
import h2_seen
import origin as http1
import sockets
from framing import tls_end
from waiting import PATIENCE, wait_until

TICK = 0.02  # how soon a reading thread notices what it is told to do
SOON = 30 * PATIENCE


class Gone(Exception):
    """The stream or its connection ended while its behaviour went on."""


class Stream:
    """One request, as a behaviour sees it."""

    def __init__(self, connection, ordinal, number, fields):
        self.connection = connection
        self.ordinal = ordinal
        self.id = number
        self.fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
        self.content = bytearray()  # as far as it came
        self.trailers = []
        self.complete = False       # whether the whole request came
        self.reset_by_peer = None   # the code's name
        self.over = False           # we reset it
        self.answered = False       # our final head is out
        self.sent = 0               # bytes of the response's body
        self.credit = True          # whether its window is opened again
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __repr__(self):
        return f"<stream {self.connection.number}/{self.id} {self.method} {self.target}>"

    # --- The request ---

    @property
    def method(self):
        return self.get(":method")

    @property
    def target(self):
        return self.get(":path")

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    def get(self, name):
        values = self.all(name)
        return ", ".join(values) if values else None

    def body(self):
        """Wait for the rest of the request; its content."""
        self.connection.wait_for(lambda: self.complete, self)
        return bytes(self.content)

    def some(self, count):
        """Wait until so much of the body has come."""
        self.connection.wait_for(lambda: len(self.content) >= count or self.complete, self)
        return bytes(self.content)

    def hold(self, event, seconds=30):
        """Go on when the test sets the event."""
        http1.Exchange.hold(self, event, seconds)

    def wait_for_reset(self):
        """Wait until the peer resets this stream; with which code."""
        wait_until(lambda: self.reset_by_peer, 10, f"{self} reset")
        return self.reset_by_peer

    # --- The response ---

    def respond(self, body=None, status=200, fields=(), trailers=()):
        """A labelled response with content-length, after the request was read."""
        self.body()
        if body is None:
            body = f"{self.method} {self.target}\n".encode()
        length = [] if status in (204, 304) else [("content-length", str(len(body)))]
        if self.method == "HEAD" or status in (204, 304):
            body = b""
        self.head(status, [*fields, *length], end=not body and not trailers)
        if body:
            self.send(body, end=not trailers)
        if trailers:
            self.finish(trailers)

    def head(self, status=200, fields=(), end=False):
        labels = [("x-connection", str(self.connection.number)), ("x-request", str(self.ordinal)),
                  ("x-stream", str(self.id))]
        self.raw_head([(":status", str(status)), *labels, *fields], end)

    def raw_head(self, fields, end=False):
        """A head without labels, whether it is well-formed or not."""
        with self.connection.acting(self) as codec:
            codec.send_headers(self.id, fields, end_stream=end)
            self.answered = True

    def interim(self, status, fields=()):
        with self.connection.acting(self) as codec:
            codec.send_headers(self.id, [(":status", str(status)), *fields])

    def send(self, content, end=False, padding=None):
        """DATA, as far as the peer's windows allow, until all of it is out."""
        view = memoryview(content)
        extra = 0 if padding is None else padding + 1
        while view:
            with self.connection.acting(self) as codec:
                room = codec.local_flow_control_window(self.id)
                size = min(len(view), min(room, codec.max_outbound_frame_size) - extra)
                if size > 0:
                    codec.send_data(self.id, bytes(view[:size]), pad_length=padding,
                                    end_stream=end and size == len(view))
                    self.sent += size
            if size > 0:
                view = view[size:]
            else:
                self.connection.wait_for(lambda room=room: self.room() > room, self)

    def room(self):
        """What the peer's windows allow now."""
        return self.connection.codec.local_flow_control_window(self.id)

    def finish(self, trailers=()):
        with self.connection.acting(self) as codec:
            if trailers:
                codec.send_headers(self.id, trailers, end_stream=True)
            else:
                codec.end_stream(self.id)

    def reset(self, error="CANCEL"):
        with self.connection.acting(self) as codec:
            codec.reset_stream(self.id, h2_seen.code_of(error))
            self.over = True

    def run(self):
        origin = self.connection.origin
        try:
            origin.behaviour(self)(self)
        except (Gone, http1.Stopped, h2.exceptions.NoSuchStreamError):
            pass
        except Exception as why:  # the test's own mistake, or what it did not expect
            origin.errors.append(f"{self}: {why!r}")


class Acting:
    """The codec, locked, for one deed; what it wants to send goes out. What it cannot do any more
    is Gone."""

    def __init__(self, connection, stream):
        self.connection, self.stream = connection, stream

    def __enter__(self):
        self.connection.changed.acquire()
        if self.stream and self.connection.is_gone(self.stream):
            self.connection.changed.release()
            raise Gone()
        return self.connection.codec

    def __exit__(self, kind, why, _trace):
        try:
            if not kind:
                self.connection.flush()
        except OSError:
            raise Gone() from None
        finally:
            self.connection.changed.notify_all()
            self.connection.changed.release()
        if isinstance(why, (h2.exceptions.NoSuchStreamError, OSError)):
            raise Gone() from why


class Connection(http1.Connection):
    """One accepted connection; where TLS chose HTTP/1.1 it is as in origin.py.

    `frames` are all that came, the content of DATA aside. What the peer announced is in `settings`.
    """

    def __init__(self, origin, number, sock):
        super().__init__(origin, number, sock)
        self.protocol = None             # "h2" or "http/1.1", once it is known
        self.frames = []
        self.streams = []
        self.settings = {}
        self.last_accepted = h2_frames.LARGEST  # streams above it get no behaviour and no response
        self.answers_pings = origin.answers_pings
        self.credit = True               # whether any window is opened again
        self.reading = threading.Event()
        self.reading.set()
        self.stands = threading.Event()  # it does not read
        self.how_to_end = None
        self.acked = 0                   # of our SETTINGS
        self.announced = 0
        self.pongs = []
        self.changed = threading.Condition(threading.RLock())
        self.buffer = bytearray()
        config = h2.config.H2Configuration(client_side=False, header_encoding=None,
                                           validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.codec = h2.connection.H2Connection(config)
        # Limits hold when they were acknowledged, and python3-h2 has some of its own.
        self.codec.local_settings = h2.settings.Settings(client=False)

    # --- What the test is told ---

    def of(self, *kinds):
        """The frames of these kinds that came so far, answers (ACK) aside."""
        return [each for each in self.frames if each.kind in kinds and not each.is_ack]

    @property
    def goaway(self):
        """The last GOAWAY that came, or None."""
        came = self.of("GOAWAY")
        return came[-1] if came else None

    @property
    def window(self):
        """How much the peer lets us send on the connection, all that we sent not counted."""
        return 65535 + sum(each.increment for each in self.of("WINDOW_UPDATE") if not each.stream)

    @property
    def open_streams(self):
        """Those whose request came and whose response is not complete."""
        with self.changed:
            return self.codec.open_inbound_streams

    # --- What the test does ---

    def announce(self, wait=True, **values):
        """New SETTINGS, by their names; they hold when the peer has acknowledged them."""
        with self.acting() as codec:
            codec.update_settings({h2_seen.code_of(name): value
                                   for name, value in values.items()})
            self.announced += 1
            mine = self.announced
        if wait:
            wait_until(lambda: self.acked >= mine, 5, "SETTINGS acknowledged")

    def say_goaway(self, last=None, error="NO_ERROR"):
        """GOAWAY. Streams above `last` (that of the last request) are not looked at any more."""
        with self.acting():
            if last is None:
                last = self.streams[-1].id if self.streams else 0
            self.last_accepted = min(last, self.last_accepted)
            self.write(h2_frames.goaway(last, h2_seen.code_of(error)))

    def ping(self, opaque=b"12345678", wait=True):
        """PING, and wait for its answer."""
        with self.acting():
            self.write(h2_frames.ping(opaque))
        if wait:
            wait_until(lambda: opaque in self.pongs, 5, "an answer to PING")

    def raw(self, *pieces):
        """These bytes, as they are."""
        with self.acting():
            self.write(b"".join(pieces))

    def stop_reading(self):
        self.reading.clear()
        wait_until(self.stands.is_set, 5, "the origin reads no more")

    def read_again(self):
        self.stands.clear()
        self.reading.set()

    def close(self):
        """End the connection: FIN (over TLS close_notify before it), then read what still comes."""
        self.told_to_end("fin")

    def reset(self):
        """End the connection with a reset."""
        self.told_to_end("reset")

    def told_to_end(self, how):
        self.how_to_end = how
        wait_until(self.finished.is_set, 5, f"connection {self.number} ended from here")

    # --- Its thread ---

    def run(self):
        super().run()
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def serve(self):
        chosen = self.sock.selected_alpn_protocol() if self.origin.tls else "h2"
        self.protocol = chosen or "http/1.1"
        if self.protocol != "h2":
            super().serve()
            return
        self.sock.setblocking(False)
        with self.acting() as codec:
            codec.initiate_connection()
            codec.clear_outbound_data_buffer()  # it announces defaults, and ours come afterwards
            if self.origin.says is not None:
                self.write(self.origin.says)
                return self.read_on()
        self.announce(wait=False, **self.origin.settings)
        self.read_on()

    def read_on(self):
        while not self.origin.stopping.is_set():
            piece = self.receive()
            if self.how_to_end == "reset":
                self.over = True
                sockets.close_with_reset(self.sock)
                self.finished.set()
                return
            if self.how_to_end == "fin" and not self.finished.is_set():
                with self.changed:
                    self.over = True
                    self.say_close()
                    self.send_fin()
                self.finished.set()
            if piece is None:
                continue
            with self.changed:
                if piece:
                    self.take(piece)
                else:
                    self.over = True
                self.changed.notify_all()
            if not piece:
                return

    def receive(self):
        """What came; b"" at the end, None if there is something else to do first."""
        if not self.reading.is_set():
            self.stands.set()
            self.reading.wait(TICK)
            return None
        try:
            if not select.select([self.sock], [], [], TICK)[0]:
                return None
            with self.changed:
                piece = self.sock.recv(1 << 18)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ConnectionError:
            piece, self.reader.end = b"", "reset"
        except ssl.SSLError as why:
            piece, self.reader.end = b"", tls_end(why)
        if not piece:
            self.ended = self.reader.end = self.reader.end or "fin"
        return piece

    def take(self, piece):
        """Locked."""
        self.buffer += piece
        if not self.received:
            if len(self.buffer) < len(h2_frames.PREFACE):
                return
            self.received += self.buffer[:len(h2_frames.PREFACE)]
            del self.buffer[:len(h2_frames.PREFACE)]
            self.codec.receive_data(bytes(self.received))
        while frame := h2_seen.cut(self.buffer):
            raw = frame.raw
            if frame.kind == "DATA":
                frame.raw = frame.payload = b""
            self.frames.append(frame)
            if frame.kind == "SETTINGS" and not frame.is_ack:
                self.settings.update(frame.settings)
            if self.is_for_codec(frame):
                for event in self.codec.receive_data(raw):
                    self.handle(event)
        try:
            self.flush()
        except OSError:
            pass  # it is gone; that will be read, too

    def is_for_codec(self, frame):
        if self.over or self.origin.says is not None:
            return False
        if frame.kind == "PING" and not frame.is_ack and not self.answers_pings:
            return False
        # After a GOAWAY the codec would do nothing any more for the streams that are left.
        return frame.kind != "GOAWAY"

    def handle(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.begin_stream(event)
        elif isinstance(event, h2.events.DataReceived):
            stream = self.find(event.stream_id)
            stream.content += event.data
            self.open_windows(stream, event.flow_controlled_length)
        elif isinstance(event, h2.events.TrailersReceived):
            self.find(event.stream_id).trailers = [
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            self.find(event.stream_id).complete = True
        elif isinstance(event, h2.events.StreamReset):
            if event.remote_reset and self.find(event.stream_id):
                self.find(event.stream_id).reset_by_peer = h2_seen.ERRORS[event.error_code]
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.acked += 1
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)

    def open_windows(self, stream, size):
        """For as much as came. The connection's is for all streams, whatever one of them does."""
        if not size or not self.credit:
            return
        if stream.credit:
            self.codec.acknowledge_received_data(size, stream.id)
        else:
            self.codec.increment_flow_control_window(size)

    def begin_stream(self, event):
        stream = Stream(self, len(self.streams) + 1, event.stream_id, event.headers)
        self.streams.append(stream)
        self.origin.exchanges.append(stream)
        if stream.id <= self.last_accepted:
            stream.thread.start()

    def find(self, number):
        """The stream of this id; requests have odd ones, in order."""
        return next((each for each in reversed(self.streams) if each.id == number), None)

    # --- For streams ---

    def is_gone(self, stream):
        return (self.over or stream.over or stream.reset_by_peer is not None
                or stream.id > self.last_accepted)

    def acting(self, stream=None):
        return Acting(self, stream)

    def wait_for(self, condition, stream):
        """Wait until condition() is true of the stream; Gone if it ends before."""
        def done():
            return self.is_gone(stream) or self.origin.stopping.is_set() or condition()
        with self.changed:
            while not self.changed.wait_for(done, 0.1):
                pass
            if self.origin.stopping.is_set():
                raise http1.Stopped()
            if self.is_gone(stream):
                raise Gone()

    def flush(self):
        self.write(self.codec.data_to_send())

    def write(self, piece):
        """Locked. Weir reads always, so this does not wait for long."""
        view = memoryview(piece)
        while view:
            try:
                count = self.sock.send(view)
                self.sent += count
                view = view[count:]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not select.select([], [self.sock], [], SOON)[1]:
                    raise OSError("nothing is taken any more") from None


class H2Origin(http1.Origin):
    """As origin.Origin. `settings` are what each new connection announces, by their names.

    `answers_pings`: whether new connections do. `says`: bytes that are all that a connection over
    HTTP/2 ever says, in place of SETTINGS.
    """

    connection_class = Connection

    def __init__(self, address="127.0.0.1:0", settings=None, says=None, **options):
        self.settings = {"MAX_CONCURRENT_STREAMS": 100, **(settings or {})}
        self.answers_pings = True
        self.says = says
        super().__init__(address, **options)

    @property
    def streams(self):
        """Those of all connections, in the order in which they came."""
        return [each for each in self.exchanges if isinstance(each, Stream)]

    def close(self):
        super().close()
        for stream in self.streams:
            if stream.thread.ident:
                stream.thread.join(5)
