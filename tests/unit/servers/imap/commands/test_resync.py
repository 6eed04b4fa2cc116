"""QRESYNC as dialogues (RFC 7162 3.2)."""

from tests.support.imap_dialogue import MAIL, play

OPENED = r"""
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * {exists} EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN ...
        S: * OK [UIDVALIDITY 1001] ...
        S: * OK [UIDNEXT ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ..."""


def opened(exists: int) -> str:
    return OPENED.format(exists=exists).strip()


def test_a_client_that_comes_back_hears_what_changed() -> None:
    play(
        r"""
        C: x ENABLE QRESYNC
        S: * ENABLED QRESYNC
        S: * OK [HIGHESTMODSEQ 5] Latest change
        S: x OK ...
        C: a STORE 1 +FLAGS.SILENT (\Deleted)
        S: * 1 FETCH (UID 1 MODSEQ (6))
        S: a OK Stored
        C: b EXPUNGE
        S: * VANISHED 1
        S: b OK [HIGHESTMODSEQ 7] Expunged
        C: c UID STORE 3 FLAGS.SILENT (\Seen)
        S: * 2 FETCH (UID 3 MODSEQ (8))
        S: c OK Stored
        C: d CLOSE
        S: d OK Closed
        C: e SELECT INBOX (QRESYNC (1001 5))
        """
        + opened(3)
        + r"""
        S: * VANISHED (EARLIER) 1
        S: * 2 FETCH (UID 3 FLAGS (\Seen) MODSEQ (8))
        S: e OK [READ-WRITE] Opened
        C: f SELECT INBOX (QRESYNC (1001 5 2:4 (1:2 2:3)))
        S: * OK [CLOSED] ...
        """
        + opened(3)
        + r"""
        S: * 2 FETCH (UID 3 FLAGS (\Seen) MODSEQ (8))
        S: f OK [READ-WRITE] Opened
        C: g EXAMINE INBOX (QRESYNC (1000 5))
        S: * OK [CLOSED] ...
        """
        + opened(3).replace("* OK [PERMANENTFLAGS", "* OK [PERMANENTFLAGS")
        + r"""
        S: g OK [READ-ONLY] ...
        """,
        mails=[MAIL] * 4,
    )


def test_qresync_must_be_enabled_first() -> None:
    play(
        """
        C: a SELECT INBOX (QRESYNC (1001 5))
        S: a BAD ENABLE QRESYNC first
        C: b SELECT INBOX (QRESYNC (1001))
        S: b BAD ...
        C: c SELECT INBOX (CONDSTORE QRESYNC)
        S: c BAD ...
        """,
        start="logged in",
    )


def test_others_expunges_are_told_as_uids() -> None:
    play(
        r"""
        C: x ENABLE QRESYNC
        S: * ENABLED QRESYNC
        S: * OK [HIGHESTMODSEQ 4] ...
        S: x OK ...
        C2: a STORE 1,3 +FLAGS.SILENT (\Deleted)
        S2: a OK Stored
        C2: b EXPUNGE
        S2: * 3 EXPUNGE
        S2: * 1 EXPUNGE
        S2: b OK Expunged
        C: b NOOP
        S: * VANISHED 1,3
        S: b OK Nothing done
        """,
        mails=[MAIL] * 3,
    )


def test_uid_fetch_tells_what_vanished() -> None:
    play(
        r"""
        C: x ENABLE QRESYNC
        S: * ENABLED QRESYNC
        S: * OK [HIGHESTMODSEQ 5] ...
        S: x OK ...
        C: a STORE 1,3 +FLAGS.SILENT (\Deleted)
        S: * 1 FETCH (UID 1 MODSEQ (6))
        S: * 3 FETCH (UID 3 MODSEQ (6))
        S: a OK Stored
        C: b EXPUNGE
        S: * VANISHED 1,3
        S: b OK [HIGHESTMODSEQ 7] Expunged
        C: c UID FETCH 2:* (FLAGS) (CHANGEDSINCE 4 VANISHED)
        S: * VANISHED (EARLIER) 3
        S: * 2 FETCH (UID 4 FLAGS (\Recent) MODSEQ (5))
        S: c OK That is all
        C: d FETCH 1:* (FLAGS) (CHANGEDSINCE 4 VANISHED)
        S: d BAD VANISHED belongs to UID FETCH
        C: e UID FETCH 1:* (FLAGS) (VANISHED)
        S: e BAD VANISHED needs CHANGEDSINCE
        """,
        mails=[MAIL] * 4,
    )
