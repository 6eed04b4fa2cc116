"""Sets of message numbers (RFC 3501 sequence-set, RFC 4315 uid-set)."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.servers.imap.syntax.cursor import NUMBER_MAX, Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError

_SET = re.compile(rb"[0-9*:,]+")
_RANGE = re.compile(rb"([1-9][0-9]{0,9}|\*)(?::([1-9][0-9]{0,9}|\*))?\Z")

# What the grammar allows of numbers with commas is JSON, for which there is the fastest reader.
_SINGLES = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)]])

LAST = 0  # stands for "*", the greatest number in use


@dataclass(frozen=True, slots=True)
class NumberSet:
    """Ranges as the client wrote them; each end is a number or LAST.

    Single numbers, if there is nothing else, are kept apart: clients name thousands of them.
    """

    ranges: tuple[tuple[int, int], ...] = ()
    singles: tuple[int, ...] = ()  # ascending, none twice

    @property
    def is_single(self) -> bool:
        """Whether it can name but one message."""
        ranges = self.ranges
        return len(self.singles) == 1 or (len(ranges) == 1 and ranges[0][0] == ranges[0][1])

    def resolved(self, last: int) -> list[tuple[int, int]]:
        """Ascending, disjoint ranges, with "*" standing for `last`."""
        if self.singles:
            return list(ranges_of(self.singles))
        pairs = [(start or last, stop or last) for start, stop in self.ranges]
        ends = sorted([(a, b) if a <= b else (b, a) for a, b in pairs])
        merged: list[tuple[int, int]] = []
        for start, stop in ends:
            if merged and start <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return merged


@dataclass(frozen=True, slots=True)
class SavedResult:
    """$: what the last SEARCH RETURN (SAVE) found (RFC 5182)."""


MessageSet = NumberSet | SavedResult


def message_set(cursor: Cursor) -> MessageSet:
    """Take a sequence-set, or $ for the saved result."""
    return SavedResult() if cursor.skip(b"$") else number_set(cursor)


def number_set(cursor: Cursor) -> NumberSet:
    """Take a sequence-set."""
    text = cursor.match(_SET, "Message set")
    if b":" in text or b"*" in text:
        return NumberSet(tuple(map(_range, text.split(b","))))
    try:
        numbers = _SINGLES.decode(b"[%b]" % text)
    except msgspec.DecodeError as error:
        raise ImapSyntaxError("Message set is not well-formed") from error
    return NumberSet(singles=tuple(sorted(set(numbers))))


def _range(text: bytes) -> tuple[int, int]:
    match = _RANGE.match(text)
    if match is None:
        raise ImapSyntaxError("Message set is not well-formed")
    start = _number(match[1])
    return start, start if match[2] is None else _number(match[2])


def _number(text: bytes) -> int:
    number = LAST if text == b"*" else int(text)
    if number > NUMBER_MAX:
        raise ImapSyntaxError("Message number is too big")
    return number


def ranges_of(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as the fewest ranges."""
    start = stop = 0
    for number in numbers:
        if number != stop + 1 or not start:
            if start:
                yield start, stop
            start = number
        stop = number
    if start:
        yield start, stop


def format_numbers(numbers: Sequence[int]) -> bytes:
    """Numbers with a space between them, as one line of SEARCH has thousands."""
    # JSON again: its writer takes a ninth of the time of formatting each.
    return msgspec.json.encode(list(numbers))[1:-1].replace(b",", b" ")


def format_set(numbers: Iterable[int]) -> bytes:
    """Ascending numbers as the shortest set, e.g. 2:4,7."""
    return ",".join(
        str(start) if start == stop else f"{start}:{stop}" for start, stop in ranges_of(numbers)
    ).encode("ascii")


def format_paired_sets(pairs: Sequence[tuple[int, int]]) -> bytes:
    """Source and target of COPYUID: two sets that name uids in the same order (RFC 4315 3)."""
    sources, targets = array("I"), array("I")
    for source, target in pairs:
        sources.append(source)
        targets.append(target)
    return format_set(sources) + b" " + format_set(targets)
