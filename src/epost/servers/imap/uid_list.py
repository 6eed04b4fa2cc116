"""Ascending UIDs, four octets each: the map between message numbers and UIDs of one session."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from epost.apps.mail.folders.ascending import picker, places_of


class UidList:
    """The message with number n has the UID at place n-1 (RFC 3501 2.3.1.2)."""

    def __init__(self, uids: "array[int] | None" = None) -> None:
        """`uids` ascend; others may have them too, and they stay as they are."""
        self._uids = array("I") if uids is None else uids
        self._is_shared = uids is not None

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

    def places(self, uids: Sequence[int]) -> Sequence[int]:
        """The places of ascending uids; those that are not in the list are left out."""
        return places_of(self._uids, uids)

    def at(self, place: int) -> int:
        """The uid at a place that there is."""
        return self._uids[place]

    def at_places(self, places: Sequence[int]) -> "array[int]":
        """The uids at places that there are."""
        return array("I", picker(places)(self._uids))

    def those_of(self, uids: Sequence[int]) -> "array[int]":
        """Those of ascending uids that are in the list."""
        return self.at_places(self.places(uids))

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
        if self._is_shared:
            self._uids, self._is_shared = self._uids[:], False
        for uid in uids:
            assert uid > self.last
            self._uids.append(uid)

    def remove(self, uids: Sequence[int]) -> list[int]:
        """Remove ascending uids in one pass; returns the places they had, ascending."""
        places = list(self.places(uids))
        kept = array("I")
        begin = 0
        for place in places:
            kept += self._uids[begin:place]
            begin = place + 1
        kept += self._uids[begin:]
        self._uids, self._is_shared = kept, False
        return places
