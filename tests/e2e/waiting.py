# SPDX-License-Identifier: MIT
"""Waiting without sleeping and hoping: every wait has a condition and a bound."""

import os
import time

import program

# Sanitized builds and busy machines are slower: this stretches every bound, never a condition.
PATIENCE = float(os.environ.get("WEIR_PATIENCE", "4" if program.is_sanitized() else "1"))


def wait_until(condition, seconds=5.0, what=None):
    """Poll until condition() is true and return its value; fail after `seconds`."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds * PATIENCE:g} s: {what}"
        time.sleep(0.005)


def wait_equal(read, expected, seconds=5.0, what=""):
    """Poll until read() == expected; the failure shows the last value."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = read()
        if value == expected:
            return value
        assert time.monotonic() < deadline, f"{what} is {value!r}, expected {expected!r}"
        time.sleep(0.005)


def settled(read, quiet=0.5, seconds=20.0):
    """Poll until read() has kept one value for `quiet` seconds; return that value."""
    deadline = time.monotonic() + seconds * PATIENCE
    last, since = read(), time.monotonic()
    while time.monotonic() - since < quiet * PATIENCE:
        assert time.monotonic() < deadline, f"still changing after {seconds * PATIENCE:g} s"
        time.sleep(0.01)
        value = read()
        if value != last:
            last, since = value, time.monotonic()
    return last
