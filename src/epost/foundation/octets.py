"""Octets that need not be in memory: a mail may be larger than what is to be held of it.

`bytes` are `Octets`; so is what lies in a spool. Whoever reads takes a slice at a time: what is
searched here is searched in windows, so that memory is bounded and no search takes long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

WINDOW_BYTES = 1024 * 1024


class Octets(Protocol):
    """A run of octets that does not change."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> bytes:
        """Return a copy of some of them, in memory."""
        ...


class Excerpt:
    """Some of other octets, without a copy."""

    def __init__(self, whole: Octets, start: int, end: int) -> None:
        self._whole = whole
        self._start = start
        self._end = end

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, _ = key.indices(len(self))
        return self._whole[self._start + start : self._start + max(start, stop)]


class Joined:
    """Octets one behind the other, without a copy."""

    def __init__(self, parts: Sequence[Octets]) -> None:
        self._parts = parts
        self._size = sum(map(len, parts))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, _ = key.indices(self._size)
        found: list[bytes] = []
        at = 0
        for part in self._parts:
            found.append(part[max(0, start - at) : max(0, stop - at)])
            at += len(part)
        return b"".join(found)


def excerpt(octets: Octets, start: int, end: int) -> Octets:
    """Return some of them: in memory if they are few."""
    return octets[start:end] if end - start <= WINDOW_BYTES else Excerpt(octets, start, end)


def windows(
    octets: Octets, start: int = 0, end: int | None = None, *, size: int | None = None
) -> Iterator[bytes]:
    """Yield octets `start` to `end` piece by piece, `size` (WINDOW_BYTES) of them at a time."""
    stop = len(octets) if end is None else end
    step = size or WINDOW_BYTES
    for at in range(start, stop, step):
        yield octets[at : min(at + step, stop)]


def count_octet(octets: Octets, octet: bytes, start: int, end: int) -> int:
    """Return how often one octet stands between `start` and `end`."""
    return sum(window.count(octet) for window in windows(octets, start, end))


def matches(
    pattern: re.Pattern[bytes], octets: Octets, start: int, end: int, *, reach: int
) -> Iterator[tuple[int, re.Match[bytes]]]:
    r"""Yield what `pattern.finditer` finds, each match with the offset to add to its places.

    No match may look at more than `reach` octets; `\Z` matches at `end`, `^` and look-behind must
    not be used.
    """
    at = start
    while at < end:
        block = octets[at : min(at + WINDOW_BYTES + reach + 1, end)]
        is_last = at + len(block) == end
        next_at = end if is_last else at + WINDOW_BYTES
        for match in pattern.finditer(block):
            if not is_last and match.start() >= WINDOW_BYTES:
                break  # the next window has it whole
            yield at, match
            next_at = max(next_at, at + match.end())
        at = next_at
