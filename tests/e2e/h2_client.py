# SPDX-License-Identifier: MIT
"""An HTTP/2 client that keeps every rule and insists that the server does (python3-h2).

It is blocking and has no thread: what comes is taken in while the test waits for something, and
then windows are opened, and bodies go on that had to wait for one. So a test that does not wait is
a client that does not read.

    stream = client.start("POST", "/", end=False)     one request; any number at once
    stream.send(b"hello", end=True)
    response = stream.response()                      waits for its end; the stream itself
    client.get("/").body                              all of it in one

Windows are the test's: `stream_window` and `connection_window` at the beginning, `reads=False` for
a stream that gives back nothing but by allow().
"""

import re

import h2_frames as frames
from waiting import PATIENCE

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.exceptions
    import h2.settings
except ModuleNotFoundError:  # other tests of this run may do without
    h2 = None


class Head:
    """A section of fields. The status if there is one."""

    def __init__(self, fields):
        self.fields = [(name, value) for name, value in fields if not name.startswith(":")]
        told = [value for name, value in fields if name == ":status"]
        self.status = int(told[0]) if told else None

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name):
        """The field's combined value, or None."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def __repr__(self):
        return f"{self.status} {self.fields}"


class Stream:
    """A request and its response, as far as both have come.

    `ended` says whether the server has ended the response, `code` with what the server has reset
    the stream. `canceled`: we have.
    """

    def __init__(self, client, number, reads):
        self.client = client
        self.number = number
        self.reads = reads
        self.head = None
        self.interim = []
        self.received = bytearray()
        self.trailers = []
        self.ended = self.canceled = False
        self.code = None
        self.unsent = memoryview(b"")
        self.end = None  # what comes behind that: True for the end, or trailers

    # --- The request ---

    def send(self, content=b"", end=False, trailers=None):
        """Send more of the body, as far as windows are open; the rest goes when they open."""
        assert self.end is None, "the body has ended"
        self.unsent = memoryview(bytes(self.unsent) + content)
        self.end = trailers or end or None
        self.client.sending.append(self)
        self.client.go_on()
        return self

    def send_empty(self):
        """A DATA frame that carries nothing."""
        self.client.rules.send_data(self.number, b"")
        self.client.flush()

    def cancel(self, code=frames.CANCEL):
        self.client.rules.reset_stream(self.number, code)
        self.canceled = True
        self.unsent = memoryview(b"")
        self.client.flush()

    def go_on(self):
        """Send what may go now; whether something is left."""
        if self.canceled or self.code is not None:
            return False
        rules = self.client.rules
        while self.unsent and (room := rules.local_flow_control_window(self.number)) > 0:
            piece = self.unsent[:min(room, rules.max_outbound_frame_size)]
            self.unsent = self.unsent[len(piece):]
            ends = self.end is True and not self.unsent
            rules.send_data(self.number, bytes(piece), end_stream=ends)
            if ends:
                return False
        if not self.unsent and self.end is True:
            rules.end_stream(self.number)
        elif not self.unsent and self.end:
            rules.send_headers(self.number, self.end, end_stream=True)
        return bool(self.unsent)

    # --- The response ---

    @property
    def over(self):
        return self.ended or self.code is not None or self.canceled

    @property
    def complete(self):
        return self.ended and self.code in (None, frames.NO_ERROR)

    def response(self):
        """Wait for its end, or that of the stream."""
        self.client.wait(lambda: self.over, f"end of stream {self.number} after {self}")
        return self

    def wait_head(self):
        self.client.wait(lambda: self.head, f"response on stream {self.number}")
        return self

    def wait_body(self, count):
        """Wait for so many bytes of it."""
        self.client.wait(lambda: len(self.received) >= count,
                         f"{count} bytes on stream {self.number} after {self}")
        return self

    def wait_interim(self, count=1):
        """Wait for so many 1xx; the last of them."""
        self.client.wait(lambda: len(self.interim) >= count,
                         f"1xx on stream {self.number} after {self}")
        return self.interim[count - 1]

    def allow(self, count):
        """Open the window by so much."""
        self.client.rules.increment_flow_control_window(count, self.number)
        self.client.flush()

    @property
    def status(self):
        return self.head and self.head.status

    @property
    def body(self):
        """What has come of it."""
        return bytes(self.received)

    def get(self, name):
        return self.head.get(name)

    @property
    def connection(self):
        """The number of the origin's connection that answered."""
        return int(self.get("x-connection"))

    @property
    def ordinal(self):
        """Which request on the origin's connection this one was."""
        return int(self.get("x-request"))

    @property
    def error(self):
        """The error that weir tells in Proxy-Status (RFC 9209), None if it tells none."""
        match = re.match(r"weir; error=([a-z_]+)", self.get("proxy-status") or "")
        return match and match.group(1)

    def __repr__(self):
        end = "ended" if self.ended else f"reset {self.code}" if self.code is not None else "open"
        begin = bytes(self.received[:80])
        return f"<{self.number}: {self.head} {begin!r} {len(self.received)} {end}>"


class H2Client(frames.Wire):
    """One connection. `settings` are the client's, over what h2 says by itself."""

    def __init__(self, server, stream_window=65535, connection_window=65535, settings=None,
                 **options):
        assert h2, "this Python has no h2: apt-get install python3-h2, run /usr/bin/python3"
        configuration = h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False,
            normalize_outbound_headers=False)
        self.rules = h2.connection.H2Connection(configuration)
        self.rules.local_settings = h2.settings.Settings(client=True, initial_values={
            frames.ENABLE_PUSH: 0, frames.INITIAL_WINDOW_SIZE: stream_window, **(settings or {})})
        self.connection_window = connection_window
        self.reads = True  # gives back what streams take of the connection's window
        self.streams, self.sending = {}, []
        super().__init__(server, **options)

    def greet(self, _settings_sent):
        self.rules.initiate_connection()
        if self.connection_window > 65535:
            self.rules.increment_flow_control_window(self.connection_window - 65535)
        self.flush()

    # --- Requests ---

    def start(self, method="GET", path="/", fields=(), body=None, end=True, reads=True, raw=None,
              scheme="http", authority="example.test"):
        """Begin a request; its stream. A body gets its Content-Length; without one the request ends
        with its head, unless end=False. `raw` is the whole head, pseudo-fields included."""
        head = raw
        if head is None:
            head = frames.request_fields(path, method, fields, authority, scheme)
        if body is not None:
            head = [*head, ("content-length", str(len(body)))]
        number = self.rules.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number, reads)
        self.rules.send_headers(number, head, end_stream=end and body is None)
        self.flush()
        if body is not None:
            stream.send(body, end=end)
        return stream

    def request(self, method="GET", path="/", fields=(), body=None, **options):
        return self.start(method, path, fields, body, **options).response()

    def get(self, path="/", *fields):
        return self.request("GET", path, fields)

    def exceed_stream_limit(self):
        """From now on streams are opened without regard to the server's limit."""
        self.barrier()  # its SETTINGS are here
        self.rules.remote_settings[frames.MAX_CONCURRENT_STREAMS] = frames.LARGEST
        self.rules.remote_settings.acknowledge()

    def wait_sent(self, *streams):
        """Wait until the windows have let all of these streams' bodies out."""
        self.wait(lambda: not any(stream.unsent for stream in streams), "window for the rest")

    def stall(self, quiet=0.4):
        """Go on until nothing has come for a while: neither windows nor responses."""
        self.pump_until_quiet(quiet)

    # --- How it goes on ---

    def flush(self):
        """Send what the rules have put together; it may be lost on who has gone."""
        self.send_unless_refused(self.rules.data_to_send())

    def go_on(self):
        self.sending = [stream for stream in self.sending if stream.go_on()]
        self.flush()

    def acknowledge_settings(self):
        """The rules do."""

    def take(self, each):
        super().take(each)
        stream = self.streams.get(each.stream)
        if each.kind in (frames.GOAWAY, frames.PING):
            return  # the rules would take GOAWAY for the end
        if stream and stream.canceled:
            self.take_late(each)
            return
        try:
            events = self.rules.receive_data(frames.frame(*each))
        except h2.exceptions.ProtocolError as why:
            raise AssertionError(f"the server broke the rules: {why!r}; {self.frames[-20:]}") \
                from why
        for event in events:
            self.note(event)

    def take_late(self, each):
        """For a stream that we have reset: only what is the connection's."""
        if each.kind == frames.HEADERS:
            assert each.flags & frames.END_HEADERS
            self.rules.decoder.decode(each.payload)
        elif each.kind == frames.DATA and each.payload:
            self.send_unless_refused(frames.window_update(0, len(each.payload)))

    def note(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(Head(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            stream.head = Head(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = list(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.received += event.data
            self.give_back(stream, event.flow_controlled_length, event.stream_ended)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.code = event.error_code
            stream.unsent = memoryview(b"")
        assert not isinstance(event, h2.events.PushedStreamReceived), "nobody wants a push"

    def give_back(self, stream, count, ended):
        if count and self.reads:
            self.rules.increment_flow_control_window(count)
        if count and stream.reads and not ended:
            self.rules.increment_flow_control_window(count, stream.number)

    def after_taking(self):
        self.go_on()


def alive(client, path="/"):
    """The connection goes on: a request on it is answered."""
    response = client.get(path)
    assert (response.status, response.complete) == (200, True), response
    assert client.goaways == []
    return response


def moment(seconds):
    """A duration for a configuration, stretched as bounds are."""
    return f"{seconds * 1000 * PATIENCE:.0f}ms"
