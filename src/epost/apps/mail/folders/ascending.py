"""Finding many numbers at once in an ascending column: where UIDs stand in a folder."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import compress, repeat
from operator import itemgetter

LOOKUPS_PER_PASS = 12
"""Looking a number up costs as much as passing over so many."""


def places_of(column: array[int], wanted: Sequence[int]) -> Sequence[int]:
    """Return where numbers stand, those that are not there left out; both ascend, none twice."""
    if not wanted:
        return range(0)
    start = bisect_left(column, wanted[0])
    stop = start + len(wanted)
    if column[start:stop] == (wanted if isinstance(wanted, array) else array("I", wanted)):
        return range(start, stop)  # side by side: as a rule they are
    if column and column[-1] - column[0] + 1 == len(column):  # nothing is missing between the ends
        first, last = column[0], column[-1]
        inside = wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]
        return [number - first for number in inside]
    if len(wanted) < len(column) // LOOKUPS_PER_PASS:
        places = list(map(bisect_left, repeat(column), wanted))
        is_there = (
            place < len(column) and column[place] == number
            for place, number in zip(places, wanted, strict=True)
        )
        return list(compress(places, is_there))
    return list(compress(range(len(column)), map(frozenset(wanted).__contains__, column)))


def picker(places: Sequence[int]) -> Callable[[array[int]], Sequence[int]]:
    """Return what copies out of a column what stands at these places; they ascend."""
    if not isinstance(places, range) and len(places) > 1:
        return itemgetter(*places)
    run = slice(places[0], places[-1] + 1) if places else slice(0)
    return lambda column: column[run]
