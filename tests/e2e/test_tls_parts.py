# SPDX-License-Identifier: MIT
"""A server whose records come in parts: an answer that nobody asked for, and its end later."""

import socket
import ssl
import threading

import pytest

import tls

BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class Parts:
    """Answers requests over TLS; behind the first answer it sends the first bytes of one more."""

    def __init__(self, certificate, version, part_bytes):
        self.context = tls.server_context(certificate, version)
        self.part_bytes = part_bytes
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self.listener.getsockname())
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock, self.connections),
                             daemon=True).start()

    def serve(self, sock, number):
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        spoken = self.context.wrap_bio(come, go, server_side=True)
        self.step(sock, come, go, spoken.do_handshake)
        rest = b""
        while request := self.step(sock, come, go, lambda: spoken.read(65536)):
            assert request.endswith(b"\r\n\r\n")
            sock.sendall(rest)  # the end of the evil one, if there is any
            spoken.write(BODY + b"good")
            answer = go.read()
            if number == 1 and not rest:
                spoken.write(BODY + b"evil")
                evil = go.read()
                answer, rest = answer + evil[:self.part_bytes], evil[self.part_bytes:]
            sock.sendall(answer)
        sock.close()

    @staticmethod
    def step(sock, come, go, call):
        """What the call gives, once enough has come; nothing at the end."""
        while True:
            try:
                done = call()
                sock.sendall(go.read())
                return done
            except ssl.SSLWantReadError:
                sock.sendall(go.read())
                piece = sock.recv(65536)
                if not piece:
                    return b""
                come.write(piece)
            except (ssl.SSLError, OSError):
                return b""

    def close(self):
        self.listener.close()


@pytest.mark.parametrize("part_bytes", [1, 4, 5, 6, 20])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_an_answer_that_began_before_the_request_is_not_its(behind, origin_certificate, connect,
                                                            version, part_bytes):
    server = Parts(origin_certificate, version, part_bytes)
    client = connect(behind(server))
    assert client.get("/1").body == b"good"
    assert client.get("/2").body == b"good"
    assert server.connections == 2, "the first one was given up"
    server.close()
