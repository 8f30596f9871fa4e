#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A tiny HTTP/1 server on its standard input and output: what weir's exec: runs.

    exec_child.py once         says Connection: close, and ends after its response
    exec_child.py silent       ends after its response without a word
    exec_child.py half         ends in the middle of its first response
    exec_child.py mute         ends when it has a request
    exec_child.py stubborn     takes no notice of SIGTERM, nor of the end of its input

Every answer tells its process, its group and what it has open, so that a test sees who gave it.
"""

import os
import signal
import sys


def read_exactly(count):
    body = sys.stdin.buffer.read(count)
    if len(body) < count:
        sys.exit(0)
    return body


def read_chunks():
    body = b""
    while (size := int(sys.stdin.buffer.readline(), 16)) > 0:
        body += read_exactly(size)
        read_exactly(2)
    sys.stdin.buffer.readline()
    return body


def read_request():
    """The target and the body; None at the end of input."""
    line = sys.stdin.buffer.readline()
    if not line:
        return None
    length, chunked = 0, False
    while field := sys.stdin.buffer.readline().strip().lower():
        if field.startswith(b"content-length:"):
            length = int(field.split(b":")[1])
        chunked |= field.startswith(b"transfer-encoding:")
    return line.split()[1], read_chunks() if chunked else read_exactly(length)


def open_descriptors():
    folder = os.open("/proc/self/fd", os.O_RDONLY)
    names = {int(name) for name in os.listdir(folder)} - {folder}
    os.close(folder)
    # The listing has a descriptor of its own, which is gone by now.
    return sorted(name for name in names if os.path.exists(f"/proc/self/fd/{name}"))


def answer(target, body, way):
    text = f"{os.getpid()} {os.getpgid(0)} {open_descriptors()}".encode()
    if target == b"/echo":
        text = body
    if target == b"/large":
        text = b"x" * 3_000_000
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n"
    if way == "once":
        head += "Connection: close\r\n"
    if way == "half":
        text = text[:len(text) // 2]
    sys.stdout.buffer.write(f"{head}\r\n".encode() + text)
    sys.stdout.buffer.flush()


def main():
    way = sys.argv[1] if len(sys.argv) > 1 else ""
    if way == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while request := read_request():
        if way == "mute":
            return
        answer(*request, way)
        if way in ("once", "silent", "half"):
            return
    while way == "stubborn":
        signal.pause()


main()
