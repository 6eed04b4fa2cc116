"""What a client that was away is told: which messages went meanwhile (RFC 7162 3.2)."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from epost.servers.imap.syntax.sequences import NumberSet, format_set


def vanished_earlier(uids: Sequence[int]) -> Iterator[bytes]:
    """One untagged VANISHED about times gone by, or nothing."""
    if uids:
        yield b"* VANISHED (EARLIER) %b\r\n" % format_set(uids)


def those_in(uids: Sequence[int], wanted: NumberSet | None) -> Sequence[int]:
    """Those of ascending uids that a set names; without a set, all."""
    if wanted is None or not uids:
        return uids
    found = array("I")
    for first, last in wanted.resolved(uids[-1]):
        found.extend(uids[bisect_left(uids, first) : bisect_right(uids, last)])
    return found
