r"""What is written of changed flags: the order of unseen mails only where \Seen changed."""

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


def test_where_unseen_mails_are_is_written_only_if_that_changed() -> None:
    difference, flagged = noted(MAIL, "\\Flagged", 1)
    assert (difference.flagged, difference.seen) == ([(flagged, 5)], [])
    difference, seen = noted(flagged, SEEN, 2)
    assert (difference.flagged, difference.seen) == ([(seen, 5)], [seen])
    difference, again = noted(seen, SEEN, 3)
    assert (difference.flagged, difference.seen) == ([(again, 2)], [])
