# SPDX-License-Identifier: MIT
"""A server's TLS by way of libssl itself, for what Python's ssl cannot do: to send a KeyUpdate, and
to send a session ticket whenever a test wants one (TLS 1.3).

    origin = origins(tls=libssl.Context(certificate))
    exchange.connection.sock.key_update(answer=True)

One thread uses a socket at a time.
"""

import ctypes
import ctypes.util
import socket

FILETYPE_PEM = 1
CTRL_SET_MIN_PROTO_VERSION, TLS1_3 = 123, 0x0304
ERROR_ZERO_RETURN = 6
KEY_UPDATE_NOT_REQUESTED, KEY_UPDATE_REQUESTED = 0, 1


def library():
    lib = ctypes.CDLL(ctypes.util.find_library("ssl"))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("TLS_server_method", pointer, []),
            ("SSL_CTX_new", pointer, [pointer]),
            ("SSL_CTX_free", None, [pointer]),
            ("SSL_CTX_ctrl", ctypes.c_long, [pointer, number, ctypes.c_long, pointer]),
            ("SSL_CTX_set_num_tickets", number, [pointer, ctypes.c_size_t]),
            ("SSL_CTX_use_certificate_chain_file", number, [pointer, text]),
            ("SSL_CTX_use_PrivateKey_file", number, [pointer, text, number]),
            ("SSL_new", pointer, [pointer]),
            ("SSL_free", None, [pointer]),
            ("SSL_set_fd", number, [pointer, number]),
            ("SSL_accept", number, [pointer]),
            ("SSL_do_handshake", number, [pointer]),
            ("SSL_read", number, [pointer, pointer, number]),
            ("SSL_write", number, [pointer, text, number]),
            ("SSL_shutdown", number, [pointer]),
            ("SSL_get_error", number, [pointer, number]),
            ("SSL_get_version", text, [pointer]),
            ("SSL_session_reused", number, [pointer]),
            ("SSL_key_update", number, [pointer, number]),
            ("SSL_new_session_ticket", number, [pointer])):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Context:
    """Stands for an ssl.SSLContext; TLS 1.3 only. `tickets`: how many follow each handshake."""

    def __init__(self, certificate, tickets=2):
        self.lib = library()
        self.made = self.lib.SSL_CTX_new(self.lib.TLS_server_method())
        self.lib.SSL_CTX_ctrl(self.made, CTRL_SET_MIN_PROTO_VERSION, TLS1_3, None)
        self.lib.SSL_CTX_set_num_tickets(self.made, tickets)
        key = certificate.key.encode(), FILETYPE_PEM
        assert self.lib.SSL_CTX_use_certificate_chain_file(
            self.made, certificate.cert.encode()) == 1
        assert self.lib.SSL_CTX_use_PrivateKey_file(self.made, *key) == 1

    def wrap_socket(self, sock, **_options):
        return Socket(self, sock)

    def __del__(self):
        self.lib.SSL_CTX_free(self.made)


class Socket(socket.socket):
    """Stands for an ssl.SSLSocket on the server's side. It blocks."""

    def __init__(self, context, sock):
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(True)
        self.context, self.lib = context, context.lib
        self.ssl = self.lib.SSL_new(context.made)
        self.lib.SSL_set_fd(self.ssl, self.fileno())
        self.session_reused = None

    def __del__(self):
        self.lib.SSL_free(self.ssl)

    def check(self, result, what):
        if result != 1:
            raise ConnectionError(f"{what}: SSL error {self.lib.SSL_get_error(self.ssl, result)}")

    def do_handshake(self):
        self.check(self.lib.SSL_accept(self.ssl), "SSL_accept")
        self.session_reused = bool(self.lib.SSL_session_reused(self.ssl))

    def version(self):
        return self.lib.SSL_get_version(self.ssl).decode()

    def getpeercert(self):
        return None

    def recv(self, size, _flags=0):
        buffer = ctypes.create_string_buffer(size)
        count = self.lib.SSL_read(self.ssl, buffer, size)
        if count > 0:
            return buffer.raw[:count]
        if self.lib.SSL_get_error(self.ssl, count) == ERROR_ZERO_RETURN:
            return b""
        raise ConnectionError("the connection broke, or ended without close_notify")

    def send(self, piece, _flags=0):
        content = bytes(piece)
        count = self.lib.SSL_write(self.ssl, content, len(content))
        if count <= 0:
            raise ConnectionError("the connection broke")
        return count

    def unwrap(self):
        """Sends close_notify, and waits for nothing."""
        self.lib.SSL_shutdown(self.ssl)

    def key_update(self, answer):
        """New keys for what is sent from now on; `answer` asks the peer for the same."""
        kind = KEY_UPDATE_REQUESTED if answer else KEY_UPDATE_NOT_REQUESTED
        self.check(self.lib.SSL_key_update(self.ssl, kind), "SSL_key_update")
        self.check(self.lib.SSL_do_handshake(self.ssl), "SSL_do_handshake")

    def new_ticket(self):
        self.check(self.lib.SSL_new_session_ticket(self.ssl), "SSL_new_session_ticket")
        self.check(self.lib.SSL_do_handshake(self.ssl), "SSL_do_handshake")
