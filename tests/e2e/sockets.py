# SPDX-License-Identifier: MIT
"""Addresses as weir writes them (`127.0.0.1:80`, `unix:/path`) and the sockets behind them."""

import os
import socket
import ssl
import struct

from waiting import PATIENCE

SOCKET_TIMEOUT = 10 * PATIENCE


def free_port():
    """A port that nobody listens on just now. The caller must bear that it is taken meanwhile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_address():
    return f"127.0.0.1:{free_port()}"


def _split(address):
    if address.startswith("unix:"):
        return socket.AF_UNIX, address[len("unix:"):]
    host, _, port = address.rpartition(":")
    return socket.AF_INET, (host, int(port))


def connect(address, receive_buffer=None, timeout=SOCKET_TIMEOUT):
    family, where = _split(address)
    sock = socket.socket(family)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(timeout)
    try:
        sock.connect(where)
    except OSError:
        sock.close()
        raise
    return sock


def accepts(address):
    """Whether somebody listens there."""
    try:
        connect(address, timeout=1).close()
        return True
    except OSError:
        return False


def open_here(address):
    """How many connections that came in at this TCP address its process has not closed yet."""
    established, close_wait = "01", "08"
    port = f"{_split(address)[1][1]:04X}"
    with open("/proc/self/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(1 for row in rows
               if row[1].endswith(":" + port) and row[3] in (established, close_wait))


def listen(address="127.0.0.1:0", backlog=512):
    """A listening socket and the address that it got."""
    family, where = _split(address)
    sock = socket.socket(family)
    if family == socket.AF_UNIX:
        if os.path.exists(where):
            os.unlink(where)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(where)
    sock.listen(backlog)
    if family == socket.AF_UNIX:
        return sock, address
    return sock, "%s:%d" % sock.getsockname()[:2]


def say_close(sock):
    """Over TLS: send close_notify, and do not wait for the peer's."""
    if not hasattr(sock, "unwrap") or sock.fileno() < 0:
        return
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.unwrap()
    except ssl.SSLWantReadError:
        pass  # it is sent; only the peer's is not here yet
    except (OSError, ValueError):
        pass  # the connection is gone
    sock.settimeout(timeout)


def shut(sock, how):
    """TCP's shutdown. That of an SSLSocket would make a plain socket of it first."""
    socket.socket.shutdown(sock, how)


def drain(sock):
    """End and read on, past TLS: what is left unread would make a reset of the end, and an alert
    before it might be lost."""
    shut(sock, socket.SHUT_WR)
    while socket.socket.recv(sock, 1 << 16):
        pass


def close_with_reset(sock):
    """Close so that the other side sees a reset, not an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fill(address):
    """Take all places in the queue of a listener without backlog that accepts nothing; the sockets
    that do so."""
    fillers = [socket.socket() for _ in range(8)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(_split(address)[1])
    return fillers


class BlackHole:
    """An address where connecting neither succeeds nor fails: a listener whose queue is full."""

    def __init__(self, host="127.0.0.1"):
        self.listener, self.address = listen(f"{host}:0", backlog=0)
        self.fillers = fill(self.address)

    def close(self):
        for sock in self.fillers + [self.listener]:
            sock.close()
