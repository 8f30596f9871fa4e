# SPDX-License-Identifier: MIT
"""Processor time of a program: all its processes and threads, user and system, in nanoseconds."""

import os

from lib.children import family


def _thread_ns(pid, thread):
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as schedstat:
            return int(schedstat.read().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _process_ns(pid):
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return 0
    return sum(_thread_ns(pid, thread) for thread in threads)


def processor_ns(pid):
    """So far, of the process and its descendants. schedstat counts nanoseconds, stat only ticks."""
    return sum(_process_ns(member) for member, _ in family(pid))
