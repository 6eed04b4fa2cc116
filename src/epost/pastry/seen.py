"""A bounded memory of what was seen, oldest forgotten first."""

from __future__ import annotations


class Seen:
    """Remembers the last `size_max` keys and when each was added."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._times: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, key: bytes) -> bool:
        return key in self._times

    def add(self, key: bytes, now: float) -> bool:
        """Remember a key; False if it was remembered already (its time stays)."""
        if key in self._times:
            return False
        self._times[key] = now
        if len(self._times) > self._size_max:
            del self._times[next(iter(self._times))]
        return True

    def age(self, key: bytes, now: float) -> float | None:
        """Return for how long a key is remembered, None if it is not."""
        added = self._times.get(key)
        return None if added is None else now - added

    def forget(self, key: bytes) -> None:
        """Drop a key; unknown ones are ignored."""
        self._times.pop(key, None)
