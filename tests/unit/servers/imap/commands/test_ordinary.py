"""CAPABILITY, NOOP, LOGOUT, ID, ENABLE as dialogues."""

from tests.support.imap_dialogue import play


def test_id_tells_the_version_only_after_login() -> None:
    play(
        """
        S: * OK ...
        C: a ID NIL
        S: * ID ("name" "ePOST")
        S: a OK Pleased to meet you
        C: b LOGOUT
        S: * BYE Good-bye
        S: b OK Logged out
        """,
        start="connected",
    )
    play(
        """
        C: a ID ("name" "x" "version" NIL)
        S: * ID ("name" "ePOST" "version" "1.0")
        S: a OK Pleased to meet you
        C: b ID ("name")
        S: b BAD ID takes at most 30 pairs
        C: c ENABLE
        S: c BAD A capability is expected
        C: d ENABLE X-NOTHING
        S: * ENABLED
        S: d OK Enabled what can be
        C: e CAPABILITY
        S: * CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE IDLE ...
        S: e OK That is all
        """,
        start="logged in",
    )
