# SPDX-License-Identifier: MIT
"""Origins and clients that die at random, for test_soak.py: one asyncio loop, one seed.

A target tells how long its body is and what it is made of, so each response that is whole can be
checked: /ID/SIZE is answered with SIZE bytes that only ID has.
"""

import asyncio
import collections
import contextlib
import socket
import struct

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
GONE = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
BOUND_SECONDS = 30


class Wrong(AssertionError):
    """A response that no request of this client has."""


def body_of(target):
    number, size = target.strip("/").split("/")
    word = b"<%s>" % number.encode()
    return (word * (int(size) // len(word) + 1))[:int(size)]


def reset(writer):
    """Closed so that the other side sees a reset."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_head(reader):
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return lines[0], fields


async def read_body(reader, fields):
    if fields.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(fields.get("content-length", 0)))
    pieces = []
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
        if size == 0:
            return b"".join(pieces)


class Origins:
    """Servers that answer, and more or less often do not."""

    def __init__(self, rng, count):
        self.rng = rng
        self.count = count
        self.servers = []
        self.tasks = set()

    async def start(self):
        for _ in range(self.count):
            self.servers.append(await asyncio.start_server(self.serve, "127.0.0.1", 0))
        return ["127.0.0.1:%d" % one.sockets[0].getsockname()[1] for one in self.servers]

    async def stop(self):
        for server in self.servers:
            server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            # Only what has served rests for a moment and dies: a new connection waits.
            rest = BOUND_SECONDS
            while await self.answer(reader, writer, rest):
                rest = self.rng.choice((0.0002, 0.002, 0.05, BOUND_SECONDS))
        except GONE:
            pass
        finally:
            self.tasks.discard(task)
            self.rng.choice((writer.close, lambda: reset(writer)))()

    async def answer(self, reader, writer, rest):
        """One request; false when the connection is to end, silently."""
        try:
            line, fields = await asyncio.wait_for(read_head(reader), rest)
        except asyncio.TimeoutError:
            return False
        await read_body(reader, fields)
        if self.rng.random() < 0.02:
            return False
        if self.rng.random() < 0.2:
            await asyncio.sleep(self.rng.random() * 0.02)
        return await self.respond(writer, *line.split(" ")[:2])

    async def respond(self, writer, method, target):
        body = body_of(target)
        wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        if self.rng.random() < 0.3:
            wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        wire += b"" if method == "HEAD" else body
        luck = self.rng.random()
        if luck < 0.02:
            wire = wire[:self.rng.randrange(len(wire))]
        elif luck < 0.04:
            wire += POISON
        writer.write(wire)
        await writer.drain()
        return luck >= 0.02


class Clients:
    """Those who ask; `seen` counts how it went."""

    def __init__(self, rng, address):
        self.rng = rng
        host, port = address.rsplit(":", 1)
        self.address = host, int(port)
        self.seen = collections.Counter()
        self.next_number = 0

    def new_target(self, largest=20000):
        self.next_number += 1
        return f"/{self.next_number}/{self.rng.randrange(largest)}"

    async def run(self, ends_at):
        now = asyncio.get_running_loop().time
        while now() < ends_at:
            visit = self.rng.choice((self.visit, self.visit, self.visit, self.visit, self.abort,
                                     self.pipeline, self.half_close, self.read_slowly, self.sit))
            try:
                reader, writer = await asyncio.open_connection(*self.address, limit=1 << 22)
            except OSError:
                self.seen["not accepted"] += 1
                continue
            try:
                await asyncio.wait_for(visit(reader, writer), BOUND_SECONDS)
            except GONE:
                self.seen["cut"] += 1
            except asyncio.TimeoutError:
                self.seen["hung"] += 1
            finally:
                self.rng.choice((writer.close, lambda: reset(writer)))()

    def request(self, method, target, body=None):
        head = f"{method} {target} HTTP/1.1\r\nHost: soak\r\n"
        if body is None:
            return (head + "\r\n").encode()
        if self.rng.random() < 0.5:
            return (head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        return (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunked

    async def expect(self, reader, method, target):
        """The response to one request. False: the connection ends after it."""
        line, fields = await read_head(reader)
        status = int(line.split(" ")[1])
        body = b"" if method == "HEAD" else await read_body(reader, fields)
        self.seen[status] += 1
        if status == 200 and method != "HEAD" and body != body_of(target):
            raise Wrong(f"{method} {target} was answered with {body[:80]!r}, {len(body)} bytes")
        if status not in (200, 502, 503, 504):
            raise Wrong(f"{method} {target}: {line}")
        return fields.get("connection") != "close"

    async def visit(self, reader, writer):
        for _ in range(self.rng.randrange(1, 30)):
            method = self.rng.choice(("GET", "GET", "GET", "HEAD", "POST", "PUT"))
            body = None
            if method in ("POST", "PUT"):
                body = bytes(self.rng.randrange(self.rng.choice((1, 100, 200000))))
            target = self.new_target()
            writer.write(self.request(method, target, body or (b"x" if body is not None else None)))
            await writer.drain()
            if not await self.expect(reader, method, target):
                return

    async def pipeline(self, reader, writer):
        targets = [self.new_target() for _ in range(self.rng.randrange(2, 6))]
        writer.write(b"".join(self.request("GET", target) for target in targets))
        for target in targets:
            if not await self.expect(reader, "GET", target):
                return

    async def half_close(self, reader, writer):
        target = self.new_target()
        writer.write(self.request("GET", target))
        writer.write_eof()
        await self.expect(reader, "GET", target)

    async def read_slowly(self, reader, writer):
        target = self.new_target(3 << 20)
        writer.write(self.request("GET", target))
        await asyncio.sleep(self.rng.random() * 0.2)
        await self.expect(reader, "GET", target)

    async def abort(self, reader, writer):
        """Goes in the middle of something: of the request, or of the response."""
        wire = self.request("POST", self.new_target(1 << 20), bytes(self.rng.randrange(1, 100000)))
        writer.write(wire[:self.rng.randrange(1, len(wire) * 2)])
        await asyncio.sleep(self.rng.random() * 0.02)
        self.seen["aborted"] += 1

    async def sit(self, reader, writer):
        await asyncio.sleep(self.rng.random() * 0.3)
        await self.visit(reader, writer)
