# SPDX-License-Identifier: MIT
"""A scripted HTTP/1 origin on raw sockets, one thread a connection.

Every accepted connection has a number (1, 2, 3 ...) and every request on it an ordinal; the default
response tells both in X-Connection and X-Request. A behaviour is a plain function that gets the
Exchange and reads top to bottom: read, send, hold until an event, end, reset. What it leaves open
stays open for the next request. Behaviours are found by (connection, ordinal), then by path:

    origin.at[1, 2] = lambda exchange: exchange.reset()
    origin.paths["/slow"] = slow
    origin.default = answer(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")

With `tls` (an ssl.SSLContext of tls.py) it speaks TLS, with `preface` it takes a PROXY preface that
may come first; each connection tells what it saw of them.
"""

import select
import socket
import threading
import time

import preface as proxy_preface
import sockets
import tls as tls_side
from framing import Cut, Reader
from waiting import PATIENCE, wait_until


class Stopped(Exception):
    """The test is over while a behaviour still holds."""


class Exchange:
    """One request on one connection, as a behaviour sees it."""

    def __init__(self, connection, ordinal, head):
        self.connection = connection
        self.ordinal = ordinal
        self.head = head
        self.method, self.target, self.version = head.start.split(" ")
        self.content = None
        self.trailers = []

    @property
    def complete(self):
        """Whether the whole request was read."""
        return self.content is not None

    def get(self, name):
        return self.head.get(name)

    def body(self):
        """Read the rest of the request; its content."""
        if self.content is None:
            if "chunked" in self.head.tokens("transfer-encoding"):
                self.content, self.trailers = self.connection.reader.chunked()
            else:
                length = int(self.get("content-length") or 0)
                self.content = self.connection.reader.exactly(length)
        return self.content

    def some(self, count):
        """Read just so many bytes of the body as it travels. The request stays incomplete."""
        return self.connection.reader.exactly(count)

    def pieces(self):
        """The body of a request with Content-Length, piece by piece as it arrives."""
        reader, left = self.connection.reader, int(self.get("content-length"))
        while left:
            if not reader.buffer and not reader.fill():
                raise Cut()
            piece = reader.take(left)
            left -= len(piece)
            yield piece
        self.content = b""

    def send(self, *pieces):
        for piece in pieces:
            self.connection.send(piece)

    def respond(self, body=None, status="200 OK", fields=()):
        """A labelled response with Content-Length, after the request was read."""
        self.body()
        if body is None:
            body = b"%s %s\n" % (self.method.encode(), self.target.encode())
        self.send(self.head_of(len(body), status, fields)
                  + (b"" if self.method == "HEAD" else body))

    def head_of(self, length, status="200 OK", fields=()):
        lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {length}"]
        return self.labelled("\r\n".join(lines).encode() + b"\r\n\r\n")

    def labelled(self, raw):
        """The raw response with X-Connection and X-Request behind its status line."""
        start, end, rest = raw.partition(b"\r\n")
        labels = b"X-Connection: %d\r\nX-Request: %d\r\n" % (self.connection.number, self.ordinal)
        return start + end + labels + rest

    def hold(self, event, seconds=30):
        """Go on when the test sets the event."""
        deadline = time.monotonic() + seconds * PATIENCE
        while not event.wait(0.02):
            if self.connection.origin.stopping.is_set():
                raise Stopped()
            if time.monotonic() > deadline:
                raise TimeoutError("held too long: the test never released it")

    def fin(self):
        """End the connection: FIN (over TLS close_notify before it), then read what still comes."""
        self.connection.fin()

    def truncate(self):
        """Over TLS: FIN without close_notify, then read what still comes."""
        self.connection.truncate()

    def close(self):
        """Close without looking: bytes that are not read yet turn it into a reset."""
        self.connection.over = True
        self.connection.sock.close()

    def reset(self):
        self.connection.over = True
        sockets.close_with_reset(self.connection.sock)


def answer(raw, then="open", label=True, pieces=None):
    """A behaviour: read the request, send the raw response, then: open, fin or reset."""
    def behave(exchange):
        exchange.body()
        exchange.send(exchange.labelled(raw) if label else raw, *(pieces or ()))
        if then != "open":
            getattr(exchange, then)()
    return behave


class Connection:
    """One accepted connection. `ended` tells how: fin, truncated or reset by the peer, over by
    ourselves, refused: there was no handshake, `failure` tells why.

    Of TLS: `tls_version`, `told_name` (SNI), `client_name` (of its certificate) and `resumed`.
    """

    def __init__(self, origin, number, sock):
        self.origin = origin
        self.number = number
        self.sock = sock
        self.received = bytearray()
        self.sent = 0
        self.over = False
        self.ended = None
        self.failure = None
        self.preface = None
        self.tls_version = self.told_name = self.client_name = self.resumed = None
        self.finished = threading.Event()  # our FIN is out
        self.reader = Reader(sock, self.received.extend)
        self.exchanges = []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            self.begin()
            self.serve()
        except Stopped:
            pass
        except (Cut, OSError) as why:
            if isinstance(why, TimeoutError):
                self.origin.errors.append(f"connection {self.number}: {why!r}")
            elif not self.ended:
                self.ended = self.reader.end or "reset"
        except Exception as why:  # whatever weir sent that is not HTTP is the test's failure
            self.origin.errors.append(f"connection {self.number}: {why!r}")
        finally:
            self.ended = self.ended or "over"
            self.sock.close()

    def begin(self):
        if self.origin.preface:
            self.preface = proxy_preface.receive(self.sock)
        if self.origin.tls:
            self.shake_hands()

    def shake_hands(self):
        # Not within wrap_socket(): whoever stops the origin needs the new socket.
        self.sock = self.reader.sock = self.origin.tls.wrap_socket(
            self.sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        try:
            self.sock.do_handshake()
        except TimeoutError:
            raise
        except OSError as why:
            self.failure, self.ended = str(why), "refused"
            sockets.drain(self.sock)
            raise
        self.resumed = self.sock.session_reused
        self.told_name = getattr(self.sock, "told_name", None)
        self.client_name = tls_side.subject(self.sock)
        self.tls_version = self.sock.version()

    def serve(self):
        while not self.over:
            if self.origin.idle_limit and self.exchanges and not self.readable_within_limit():
                self.over = True
                return
            head = self.reader.head()
            if head is None:
                self.ended = self.reader.end
                return
            exchange = Exchange(self, len(self.exchanges) + 1, head)
            self.exchanges.append(exchange)
            self.origin.exchanges.append(exchange)
            self.origin.behaviour(exchange)(exchange)
            if not self.over:
                exchange.body()

    def readable_within_limit(self):
        if self.reader.buffer:
            return True
        return bool(select.select([self.sock], [], [], self.origin.idle_limit())[0])

    def send(self, piece):
        view = memoryview(piece)
        while view:
            count = self.sock.send(view)
            self.sent += count
            view = view[count:]

    def fin(self):
        self.say_close()
        self.truncate()

    def say_close(self):
        sockets.say_close(self.sock)

    def send_fin(self):
        sockets.shut(self.sock, socket.SHUT_WR)

    def truncate(self):
        self.over = True
        self.send_fin()
        self.finished.set()
        self.reader.rest()
        self.ended = self.reader.end


class Origin:
    """Listens at once. `address` as in a configuration; `close()` ends everything.

    While its door is closed, who connects is neither let in nor refused. He gets in when the door
    is open again and TCP tries once more, a second after the first time.
    """

    connection_class = Connection

    def __init__(self, address="127.0.0.1:0", send_buffer=None, receive_buffer=None, tls=None,
                 preface=False):
        self.tls = tls
        self.preface = preface
        self.listener, self.address = sockets.listen(address)
        for option, size in ((socket.SO_SNDBUF, send_buffer), (socket.SO_RCVBUF, receive_buffer)):
            if size:
                self.listener.setsockopt(socket.SOL_SOCKET, option, size)
        self.url = self.address if address.startswith("unix:") else f"http://{self.address}"
        self.at = {}
        self.paths = {}
        self.default = lambda exchange: exchange.respond()
        self.idle_limit = None  # a function: after how many idle seconds to close
        self.connections = []
        self.exchanges = []
        self.errors = []
        self.stopping = threading.Event()
        self.door = threading.Event()
        self.door.set()
        self.at_door = threading.Event()
        self.fillers, self.filler_names = [], set()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while not self.stopping.is_set():
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            if not self.door.is_set():
                self.at_door.set()
                self.door.wait()
            if peer in self.filler_names:
                sock.close()
                continue
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(60 * PATIENCE)
            connection = self.connection_class(self, len(self.connections) + 1, sock)
            self.connections.append(connection)
            connection.thread.start()

    def stop_listening(self):
        """Who connects from now on is refused; what is connected stays."""
        self.listener.shutdown(socket.SHUT_RDWR)

    def close_door(self):
        self.listener.listen(0)
        self.at_door.clear()
        self.door.clear()
        first = sockets.connect(self.address)  # the accepting thread stands there with it
        wait_until(self.at_door.is_set)
        self.fillers = [first, *sockets.fill(self.address)]
        self.filler_names = {filler.getsockname() for filler in self.fillers}

    def open_door(self):
        for filler in self.fillers:
            filler.close()
        if not self.door.is_set():
            self.listener.listen(512)
        self.door.set()

    def behaviour(self, exchange):
        place = exchange.connection.number, exchange.ordinal
        path = exchange.target.partition("?")[0]
        return self.at.get(place) or self.paths.get(path) or self.default

    @property
    def received(self):
        """Every byte that came, over all connections."""
        return b"".join(bytes(connection.received) for connection in self.connections)

    @property
    def targets(self):
        return [exchange.target for exchange in self.exchanges]

    @property
    def handshakes(self):
        """The connections whose handshake came to its end."""
        return [connection for connection in self.connections if connection.tls_version]

    def is_left(self):
        """Whether no connection stands on which a byte came; one without may lie in a pool."""
        return all(c.ended for c in self.connections if c.received)

    def close(self):
        self.stopping.set()
        self.open_door()
        for sock in [self.listener] + [connection.sock for connection in self.connections]:
            try:
                sockets.shut(sock, socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.thread.join(5)
        for connection in self.connections:
            connection.thread.join(5)
            assert not connection.thread.is_alive(), f"connection {connection.number} hangs"
