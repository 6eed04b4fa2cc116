"""Gives memory back to the system as soon as it is free."""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD = -3
LARGE_BUFFER_BYTES = 256 * 1024
"""Buffers from this size on are given back one by one."""


def return_large_buffers() -> None:
    """Keep the buffers of large blocks out of the heap (glibc; elsewhere this does nothing).

    The C library moves this threshold up to whatever was freed last: then the buffers of a large
    mail, each gone in a moment, leave a heap behind that is full of holes and never shrinks.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library
    mallopt(_M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES)
