"""SAVEDATE as dialogues (RFC 8514)."""

from epost.apps.mail.mailbox import MailTime
from tests.support.imap_dialogue import MAIL, play
from tests.support.memory_mailstore import MemoryMail

SAVED = "14-Nov-2023 22:13:20 +0000"


def test_a_mail_was_saved_when_it_came_to_its_folder() -> None:
    play(
        f"""
        C: a APPEND INBOX "01-Jan-2001 00:00:00 +0000" {{3+}}
        C: x
        C:
        S: * 2 EXISTS
        S: * 2 RECENT
        S: a OK ...
        C: b FETCH 2 (INTERNALDATE SAVEDATE)
        S: * 2 FETCH (INTERNALDATE " 1-Jan-2001 00:00:00 +0000" SAVEDATE "{SAVED}")
        S: b OK That is all
        C: c SEARCH SAVEDON 14-Nov-2023
        S: * SEARCH 1 2
        S: c OK That is all
        C: d SEARCH OR SAVEDBEFORE 14-Nov-2023 NOT SAVEDSINCE 15-Nov-2023 SAVEDATESUPPORTED
        S: * SEARCH 1 2
        S: d OK That is all
        C: e SEARCH SAVEDSINCE 15-Nov-2023
        S: * SEARCH
        S: e OK That is all
        """,
        mails=[MAIL],
    )


def test_of_a_mail_from_before_nobody_knows_and_the_internal_date_is_searched() -> None:
    mail = MemoryMail(lambda: MailTime(1_000_000_000))
    play(
        """
        C: a NOOP
        S: a OK Nothing done
        """,
        mail=mail,
        mails=[MAIL],
    )
    mail.folder("INBOX").forget_save_dates()
    play(
        """
        C: a UID FETCH 1 SAVEDATE
        S: * 1 FETCH (UID 1 SAVEDATE NIL)
        S: a OK That is all
        C: b UID SEARCH SAVEDON 9-Sep-2001
        S: * SEARCH 1
        S: b OK That is all
        """,
        mail=mail,
    )
