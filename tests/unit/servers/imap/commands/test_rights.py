"""ACL as dialogues."""

from tests.support.imap_dialogue import play


def test_the_owner_has_all_rights_and_nobody_else_any() -> None:
    play(
        """
        C: a MYRIGHTS INBOX
        S: * MYRIGHTS INBOX lrswipkxtea
        S: a OK That is all
        C: b GETACL INBOX
        S: * ACL INBOX alice@example.org lrswipkxtea
        S: b OK That is all
        C: c LISTRIGHTS INBOX bob
        S: * LISTRIGHTS INBOX bob ""
        S: c OK That is all
        C: d LISTRIGHTS INBOX alice@example.org
        S: * LISTRIGHTS INBOX alice@example.org lrswipkxtea
        S: d OK That is all
        C: e SETACL INBOX bob lr
        S: e NO [NOPERM] ...
        C: f DELETEACL INBOX bob
        S: f NO [NOPERM] ...
        C: g MYRIGHTS Nowhere
        S: g NO [NONEXISTENT] ...
        """,
        start="logged in",
    )
