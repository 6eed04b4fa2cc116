"""What ENABLE changes: UTF-8, IMAP4rev2, UIDONLY (RFC 5161, 6855, 9051, 9586)."""

from tests.support.imap_dialogue import MAIL, play


def test_names_are_in_utf8_once_the_client_accepts_it() -> None:
    play(
        """
        C: a CREATE "Caf&AOk-"
        S: a OK ...
        C: b ENABLE UTF8=ACCEPT
        S: * ENABLED UTF8=ACCEPT
        S: b OK ...
        C: c LIST "" "C*"
        S: * LIST (\\HasNoChildren) "/" "Café"
        S: c OK That is all
        C: d STATUS "Café" (MESSAGES)
        S: * STATUS "Café" (MESSAGES 0)
        S: d OK ...
        C: e CREATE "a\\"&b ü"
        S: e OK ...
        C: f LIST "" "a\\"&b %"
        S: * LIST (\\HasNoChildren) "/" "a\\"&b ü"
        S: f OK That is all
        """,
        start="logged in",
    )


def test_imap4rev2_does_without_recent_and_searches_in_sets() -> None:
    play(
        r"""
        C: a ENABLE IMAP4rev2
        S: * ENABLED IMAP4rev2
        S: a OK ...
        C: b SELECT INBOX
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 2 EXISTS
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: * LIST () "/" INBOX
        S: b OK [READ-WRITE] Opened
        C: c FETCH 1 FLAGS
        S: * 1 FETCH (FLAGS ())
        S: c OK That is all
        C: d SEARCH ALL
        S: * ESEARCH (TAG "d") ALL 1:2
        S: d OK That is all
        """,
        mails=[MAIL] * 2,
        start="logged in",
    )


def test_without_numbers_everything_is_told_by_uid() -> None:
    play(
        r"""
        C: a ENABLE UIDONLY
        S: * ENABLED UIDONLY
        S: a OK ...
        C: b FETCH 1 FLAGS
        S: b BAD [UIDREQUIRED] Message numbers are not in use, only UIDs
        C: c UID SEARCH 1
        S: c BAD [UIDREQUIRED] Message numbers are not in use, only UIDs
        C: d UID STORE 2 +FLAGS (\Deleted)
        S: * 2 UIDFETCH (FLAGS (\Deleted \Recent))
        S: d OK Stored
        C: f UID FETCH 2 UID
        S: * 2 UIDFETCH (UID 2)
        S: f OK That is all
        C: g UID FETCH 2 FLAGS
        S: * 2 UIDFETCH (FLAGS (\Deleted \Recent))
        S: g OK That is all
        C2: a STORE 3 +FLAGS.SILENT (\Seen)
        S2: a OK Stored
        C: e EXPUNGE
        S: * VANISHED 2
        S: * 3 UIDFETCH (FLAGS (\Recent \Seen))
        S: e OK Expunged
        """,
        mails=[MAIL] * 3,
    )
