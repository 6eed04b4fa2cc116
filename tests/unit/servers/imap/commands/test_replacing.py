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
