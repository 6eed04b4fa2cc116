"""Cutting long lists into what one record, or one call of the index, takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def in_chunks(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """Cut a list into tuples of at most `size`."""
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])
