"""A dictionary that forgets what was not used for longest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(Generic[K, V]):
    """At most `size_max` entries, in order of last use."""

    def __init__(self, size_max: int) -> None:
        self._entries: dict[K, V] = {}
        self._size_max = size_max

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def get(self, key: K) -> V | None:
        """Return an entry and make it the most recently used."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._entries[key] = value
        return value

    def put(self, key: K, value: V) -> K | None:
        """Set an entry; return the key that was forgotten for it, if any."""
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) <= self._size_max:
            return None
        oldest = next(iter(self._entries))
        del self._entries[oldest]
        return oldest

    def remove(self, key: K) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
