# SPDX-License-Identifier: MIT
"""A TCP relay that can stop forwarding: connections through it stay, and nothing arrives any more,
as behind a router that lost its state. Later connections are forwarded."""

import select
import socket
import threading

import sockets

TICK = 0.02


class Passage:
    """One connection and its counterpart at the server."""

    def __init__(self, relay, near):
        self.relay = relay
        self.pair = near, sockets.connect(relay.server)
        self.is_open = True
        for sock in self.pair:
            sock.setblocking(True)
        self.threads = [threading.Thread(target=self.pump, args=ends, daemon=True)
                        for ends in (self.pair, self.pair[::-1])]

    def begin(self):
        for thread in self.threads:
            thread.start()

    def pump(self, source, sink):
        try:
            while not self.relay.stopping.is_set():
                if not select.select([source], [], [], TICK)[0]:
                    continue
                if not self.is_open:
                    self.relay.stopping.wait(TICK)
                    continue
                piece = source.recv(1 << 16)
                if not piece:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(piece)
        except OSError:
            for sock in self.pair:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        for sock in self.pair:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)
        for sock in self.pair:
            sock.close()


class Relay:
    def __init__(self, server):
        self.server = server if isinstance(server, str) else server.address
        self.listener, self.address = sockets.listen()
        self.passages = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.passages.append(Passage(self, near))
            self.passages[-1].begin()

    def stop_forwarding(self):
        """Nothing goes through any more on the connections that there are."""
        for passage in self.passages:
            passage.is_open = False

    def close(self):
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)
        for passage in self.passages:
            passage.close()
