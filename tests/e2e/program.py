# SPDX-License-Identifier: MIT
"""Which weir is tested, and how it is started.

    WEIR               the program; else build/weir
    WEIR_IO            the backend that it is told to take: epoll or uring; else its own choice
    WEIR_REFUSE_URING  1: every weir runs under a seccomp filter that refuses io_uring

As a program it tells why a ring cannot be had here; nothing if one can.
"""

import atexit
import ctypes
import errno
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
PATH = pathlib.Path(os.environ.get("WEIR", TREE / "build" / "weir")).absolute()
IO = os.environ.get("WEIR_IO")
# What io_uring_setup() fails with; None: it is as the kernel has it.
REFUSAL = errno.EPERM if os.environ.get("WEIR_REFUSE_URING") == "1" else None


def command(*arguments, io=None, refusal=None):
    """The command that starts weir over that backend, io_uring being refused if so."""
    filtered = [str(launcher()), str(refusal)] if refusal else []
    chosen = ["--io", io] if io else []
    return [*filtered, str(PATH), *map(str, arguments), *chosen]


@functools.cache
def launcher():
    """What installs the filter and becomes weir."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-e2e-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / "refuse_uring"
    subprocess.run(["cc", "-O1", "-o", made, HERE / "refuse_uring.c"], check=True)
    return made


@functools.cache
def why_no_uring():
    """Why weir cannot have io_uring here; None: it can.

    The kernel is asked past weir, whose own refusal would be a failure: for a ring with a single
    issuer and deferred task run, which came with Linux 6.1.
    """
    if REFUSAL:
        return "WEIR_REFUSE_URING has it refused"
    setup, flags = 425, 1 << 12 | 1 << 13
    params = (ctypes.c_uint32 * 30)()
    params[2] = flags
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(setup, 4, params)
    if ring < 0:
        return f"the kernel refuses io_uring here: {os.strerror(ctypes.get_errno())}"
    os.close(ring)
    return None


@functools.cache
def is_sanitized():
    """Whether the program was built with ASan or TSan, which makes it slower and larger."""
    if not PATH.is_file():
        return False
    content = PATH.read_bytes()
    return b"__asan_init" in content or b"__tsan_init" in content


if __name__ == "__main__":
    print(why_no_uring() or "")
