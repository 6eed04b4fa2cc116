"""Ascending UIDs, four octets each: the map between message numbers and UIDs of one session."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

_LOOKUPS_PER_PASS = 20  # looking a uid up costs as much as passing over so many


class UidList:
    """The message with number n has the UID at place n-1 (RFC 3501 2.3.1.2)."""

    def __init__(self, uids: "array[int] | None" = None) -> None:
        """Takes over `uids`, which ascend."""
        self._uids = array("I") if uids is None else uids

    def __len__(self) -> int:
        return len(self._uids)

    def __iter__(self) -> Iterator[int]:
        return iter(self._uids)

    def __contains__(self, uid: int) -> bool:
        return self.place(uid) is not None

    @property
    def last(self) -> int:
        """The greatest uid, 0 if there is none."""
        return self._uids[-1] if self._uids else 0

    def place(self, uid: int) -> int | None:
        """The place of a uid, counted from 0."""
        place = bisect_left(self._uids, uid)
        return place if place < len(self._uids) and self._uids[place] == uid else None

    def places(self, uids: "array[int]") -> Sequence[int]:
        """The places of uids, ascending; those that are not in the list are left out."""
        start = bisect_left(self._uids, uids[0]) if uids else 0
        stop = start + len(uids)
        if self._uids[start:stop] == uids:  # side by side, as a rule
            return range(start, stop)
        return self._places(uids)

    def _places(self, uids: Sequence[int]) -> list[int]:
        if len(uids) < len(self._uids) // _LOOKUPS_PER_PASS:
            return [place for place in map(self.place, uids) if place is not None]
        is_wanted = frozenset(uids).__contains__
        return list(compress(range(len(self._uids)), map(is_wanted, self._uids)))

    def at(self, place: int) -> int:
        """The uid at a place that there is."""
        return self._uids[place]

    def between_places(self, start: int, stop: int) -> "array[int]":
        """The uids at the places `start` to `stop` (exclusive)."""
        return self._uids[start:stop]

    def newest(self, count: int) -> "array[int]":
        """The last `count` uids, or all there are."""
        return self._uids[max(0, len(self._uids) - count) :]

    def between(self, first: int, last: int) -> "array[int]":
        """The uids from `first` to `last` (inclusive) that are in the list."""
        return self._uids[bisect_left(self._uids, first) : bisect_right(self._uids, last)]

    def extend(self, uids: Iterable[int]) -> None:
        """Add uids at the end; they are greater than all there are."""
        for uid in uids:
            assert uid > self.last
            self._uids.append(uid)

    def remove(self, uids: Sequence[int]) -> list[int]:
        """Remove ascending uids in one pass; returns the places they had, ascending."""
        places = self._places(uids)
        kept = array("I")
        begin = 0
        for place in places:
            kept += self._uids[begin:place]
            begin = place + 1
        kept += self._uids[begin:]
        self._uids = kept
        return places
