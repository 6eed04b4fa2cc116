"""APPEND as dialogues."""

import sys

from epost.apps.mail.mailbox import MailTime, NewMail
from epost.servers.imap.commands.appending import spelled
from epost.servers.imap.limits import ImapLimits
from tests.support.imap_dialogue import play


def test_an_appended_mail_keeps_its_octets_flags_and_date() -> None:
    mail = play(
        r"""
        C: a APPEND INBOX (\Seen Work \Recent) " 5-Feb-2023 10:20:30 -0330" {10}
        S: + Go ahead
        C: Subject: x\
        C:
        S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft Work)
        S: * OK [PERMANENTFLAGS ...
        S: * 1 EXISTS
        S: * 1 RECENT
        S: a OK [APPENDUID 1001 1] Appended, held locally
        C: b FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])
        S: * 1 FETCH (FLAGS (Work \Recent \Seen) INTERNALDATE " 5-Feb-2023 10:20:30 -0330" \
            BODY[] {10}
        S: Subject: x)
        S: b OK That is all
        """
    )
    (row,) = mail.folder("INBOX")._rows.values()
    assert row.internal_date == MailTime(1675605030, -210)


def test_an_unasked_literal_saves_a_round_trip() -> None:
    play(
        """
        C: a APPEND INBOX {3+}
        C: abc
        S: * 1 EXISTS
        S: * 1 RECENT
        S: a OK [APPENDUID 1001 1] Appended, held locally
        """
    )


def test_several_mails_come_in_one_command() -> None:
    mail = play(
        r"""
        C: a CREATE Box
        S: a OK ...
        C: b APPEND Box (Urgent) {3+}
        C: abc (urgent) {3+}
        C: def "01-Jan-2020 00:00:00 +0000" {1+}
        C: g
        S: b OK [APPENDUID 1002 1:3] Appended, held locally
        """,
        start="logged in",
    )
    assert mail.folder("Box").keywords == ("Urgent",)
    assert mail.folder("Box").counters().messages == 3


def test_append_to_nowhere_asks_for_create() -> None:
    play(
        """
        C: a APPEND nowhere {1+}
        C: x
        S: a NO [TRYCREATE] There is no such folder
        C: b APPEND INBOX {0+}
        C:
        S: b NO [CANNOT] An empty mail is not kept
        """,
        start="logged in",
    )


def test_too_big_a_mail_is_refused_before_it_is_sent() -> None:
    play(
        """
        C: a APPEND INBOX {101}
        S: a NO [TOOBIG] Literal of 101 octets is too big
        C: b APPEND INBOX {101+}
        C: LONG
        S: b NO [TOOBIG] Literal of 101 octets is too big
        C: c APPEND INBOX {60+}
        C: SHORT {60}
        S: c NO [TOOBIG] Literal of 60 octets is too big
        """.replace("LONG", "a" * 101).replace("SHORT", "a" * 60),
        start="logged in",
        limits=ImapLimits(mail_bytes_max=100, append_bytes_max=110),
    )


def test_malformed_appends_are_refused() -> None:
    play(
        r"""
        C: a APPEND INBOX "30-Feb-2020 00:00:00 +0000" {1+}
        C: x
        S: a BAD There is no such date or time
        C: b APPEND INBOX "01-Jan-2020 25:00:00 +0000" {1+}
        C: x
        S: b BAD There is no such date or time
        C: c APPEND INBOX abc
        S: c BAD Literal expected
        C: d APPEND INBOX
        S: d BAD Space expected
        C: e SELECT ~{3+}
        C: abc
        S: e BAD Only APPEND takes binary literals
        """,
        start="logged in",
    )


def test_the_work_for_flags_grows_with_the_mails_and_not_with_their_square() -> None:
    mails = [NewMail(b"octets", frozenset({f"Word{number}"})) for number in range(400)]

    def calls(count: int) -> int:
        events: list[object] = []
        sys.setprofile(lambda _frame, event, _of: events.append(event))
        try:
            spelled(mails[:count], ())
        finally:
            sys.setprofile(None)
        return len(events)

    assert calls(400) < 3 * calls(200)
