"""REPLACE as dialogues."""

from tests.support.imap_dialogue import MAIL, play


def test_a_draft_is_replaced_in_one_step() -> None:
    play(
        r"""
        C: a REPLACE 1 INBOX (\Draft) {15+}
        C: Subject: 2
        C:
        C: x
        S: * OK [APPENDUID 1001 3] Kept
        S: * 1 EXPUNGE
        S: * 2 EXISTS
        S: * 2 RECENT
        S: a OK Replaced, held locally
        C: b FETCH 1:2 (UID FLAGS)
        S: * 1 FETCH (UID 2 FLAGS (\Recent))
        S: * 2 FETCH (UID 3 FLAGS (\Draft \Recent))
        S: b OK That is all
        C: c UID REPLACE 2 Sent {15+}
        C: Subject: 3
        C:
        C: x
        S: c NO [TRYCREATE] There is no such folder
        C: d UID REPLACE 1 INBOX {15+}
        C: Subject: 4
        C:
        C: x
        S: d NO [NONEXISTENT] There is no such message
        C: e REPLACE 1:2 INBOX {15+}
        C: Subject: 5
        C:
        C: x
        S: e BAD REPLACE is for one message
        """,
        mails=[MAIL, MAIL],
    )


def test_what_cannot_be_replaced_is_refused() -> None:
    play(
        r"""
        C: a REPLACE 1 INBOX {0+}
        C:
        S: a NO [CANNOT] An empty mail is not kept
        C: b REPLACE 1 INBOX ~{1+}
        C: """.rstrip()
        + " \0"
        + r"""
        S: b NO [UNKNOWN-CTE] ...
        C: c EXAMINE INBOX
        S: * OK [CLOSED] ...
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 1 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN ...
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: c OK ...
        C: d REPLACE 1 INBOX {1+}
        C: x
        S: d NO The folder is open for reading only
        """,
        mails=[MAIL],
    )
