"""Octets that are many and take no memory."""

from __future__ import annotations


class Zeros:
    """So many zeros, made where they are looked at."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice, /) -> bytes:
        return bytes(len(range(*key.indices(self._size))))
