# SPDX-License-Identifier: MIT
"""A scripted forward proxy: it answers CONNECT (RFC 9110 section 9.3.6) and carries bytes on.

It keeps every head that it was sent. `answer`, when a test sets it, is sent in place of a tunnel,
and the connection ends; `tunnels` counts those that were built.
"""

import select
import socket
import threading

import sockets
from framing import Cut, Reader
from waiting import PATIENCE

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ConnectProxy:
    def __init__(self, address="127.0.0.1:0"):
        self.listener, self.address = sockets.listen(address)
        self.answer = None
        self.established = ESTABLISHED
        self.heads = []
        self.tunnels = 0
        self.errors = []
        self.open = []
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    @property
    def targets(self):
        return [head.start for head in self.heads]

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(30 * PATIENCE)
            self.open.append(sock)
            threading.Thread(target=self.serve, args=[sock], daemon=True).start()

    def serve(self, sock):
        try:
            self.carry(sock)
        except (Cut, OSError):
            pass
        except Exception as why:  # what was sent is not a head
            self.errors.append(repr(why))
        finally:
            sock.close()

    def carry(self, sock):
        reader = Reader(sock)
        head = reader.head()
        if head is None:
            return
        self.heads.append(head)
        if self.answer is not None:
            sock.sendall(self.answer)
            sockets.shut(sock, socket.SHUT_WR)
            reader.rest()
            return
        method, target, _ = head.start.split(" ")
        assert method == "CONNECT", head.start
        server = sockets.connect(target)
        self.open.append(server)
        self.tunnels += 1
        sock.sendall(self.established)
        server.sendall(reader.take(len(reader.buffer)))
        relay(sock, server)

    def close(self):
        for sock in [self.listener, *self.open]:
            try:
                sockets.shut(sock, socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.thread.join(5)
        assert self.errors == []


def relay(one, other):
    """Carry bytes both ways until both sides have ended."""
    ways = {one: other, other: one}
    try:
        while ways:
            for sock in select.select(list(ways), [], [])[0]:
                piece = sock.recv(1 << 16)
                if piece:
                    ways[sock].sendall(piece)
                else:
                    sockets.shut(ways.pop(sock), socket.SHUT_WR)
    finally:
        for sock in (one, other):
            sock.close()
