# SPDX-License-Identifier: MIT
"""Which weir is tested: the path in $WEIR, else build/weir."""

import functools
import os
import pathlib

TREE = pathlib.Path(__file__).resolve().parents[2]
PATH = pathlib.Path(os.environ.get("WEIR", TREE / "build" / "weir")).absolute()


def backend():
    """Arguments that choose the kernel backend: $WEIR_IO, else the program's own choice."""
    wanted = os.environ.get("WEIR_IO")
    return ["--io", wanted] if wanted else []


@functools.cache
def is_sanitized():
    """Whether the program was built with ASan or TSan, which makes it slower and larger."""
    if not PATH.is_file():
        return False
    content = PATH.read_bytes()
    return b"__asan_init" in content or b"__tsan_init" in content
