"""What is written of changed flags: nothing else of the place, and when it last changed."""

from __future__ import annotations

from epost.apps.mail.index import MailFacts
from epost.apps.mail.log.difference import Difference, Touched
from epost.apps.mail.log.fold import FIRST, Number, Placement, changed_flags
from epost.apps.mail.log.records import Stamp
from epost.apps.mail.mailbox import SEEN, MailTime

FOLDER, NAME = b"f" * 16, b"n" * 16
MAIL = Placement(NAME, NAME, FOLDER, number=Number(FOLDER, FIRST, 1))


def noted(old: Placement, add: str, lamport: int) -> tuple[Difference, Placement]:
    new = changed_flags(old, Stamp(lamport, 1), (add,), ())
    difference = Difference(5, {NAME: MailFacts(NAME, 1, MailTime(1))}, ())
    difference.note(Touched(old, 2, new))
    return difference, new


def test_flags_alone_are_written_and_their_modseq_only_if_the_change_shows() -> None:
    difference, seen = noted(MAIL, SEEN, 1)
    assert (difference.flagged, difference.placements) == ([(seen, 5)], [])
    difference, again = noted(seen, SEEN, 2)
    assert (difference.flagged, difference.placements) == ([(again, 2)], [])
