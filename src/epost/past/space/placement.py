"""Where a replica goes when disks are nearly full (PAST, SOSP 2001, section 3): pure decisions.

A node takes what is small beside the room that it has left: up to t_pri of it where it is one of
the k, up to the stricter t_div in place of another. So large blocks turn away first, and the last
room of a node is kept for many small ones. A node that cannot take a replica has it kept by the
member of its leaf set with the most room (*replica diversion*); where that cannot either, the whole
block is put elsewhere on the ring under another handle (*file diversion*).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

N = TypeVar("N")

PRIMARY_PART = 0.1
"""t_pri: the largest part of its room that one of the k gives to one block."""
DIVERTED_PART = 0.05
"""t_div: the same for a node that keeps a replica in place of one of the k."""
PLACES_TRIED_MAX = 4
"""The first place of a block and three others (file diversion), before its insertion fails."""


def fits(size: int, room: int, part: float) -> bool:
    """Is a block of this size small enough beside the room that is left?"""
    return size <= part * room


def roomiest(nodes: Iterable[tuple[N, int]], size: int, part: float) -> N | None:
    """Return the node with the most room, if it takes a block of this size; the first of equals.

    `nodes` are those that may keep a diverted replica, with their room. Where the roomiest cannot
    take it no other can, so nobody else need be asked.
    """
    best: N | None = None
    most = -1
    for node, room in nodes:
        if room > most:
            best, most = node, room
    return best if best is not None and fits(size, most, part) else None
