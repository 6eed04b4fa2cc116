"""GETMETADATA, SETMETADATA, LIST RETURN (METADATA) as dialogues (RFC 5464, RFC 9590)."""

import asyncio

import pytest

from epost.apps.mail.folders.annotations import ANNOTATIONS_PER_FOLDER_MAX
from epost.apps.mail.log.records import ANNOTATION_BYTES_MAX
from epost.servers.imap.limits import METADATA_ENTRIES_MAX
from tests.support.imap_dialogue import ImapHouse, play


def test_entries_of_folders_and_of_the_account_are_kept_apart() -> None:
    async def scene() -> None:
        client = await ImapHouse().member()
        client.send(b't SETMETADATA INBOX (/private/comment "mine" /SHARED/x ~{3+}\r\na\0b)\r\n')
        assert await client.line() == b"t OK Noted"
        assert await client.command('SETMETADATA "" (/private/comment "all")') == ["t OK Noted"]
        assert await client.command("GETMETADATA INBOX (/private/Comment /shared/x /shared/y)") == [
            '* METADATA INBOX (/private/Comment "mine" /shared/x ~{3}',
            "a\0b /shared/y NIL)",
            "t OK That is all",
        ]
        assert await client.command('GETMETADATA "" /private/comment') == [
            '* METADATA "" (/private/comment "all")',
            "t OK That is all",
        ]
        await client.hang_up()

    asyncio.run(scene())


FAMILY = r"""
        C: s SETMETADATA INBOX (/private/a "1" /private/a/b "22" \
            /private/a/b/c "333" /private/ab "4")
        S: s OK Noted"""


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("", '/private/a "1"'),
        ("(DEPTH 0) ", '/private/a "1"'),
        ("(DEPTH 1) ", '/private/a "1" /private/a/b "22"'),
        ("(DEPTH infinity) ", '/private/a "1" /private/a/b "22" /private/a/b/c "333"'),
    ],
)
def test_depth_says_how_far_below(options: str, found: str) -> None:
    play(
        f"""{FAMILY}
        C: a GETMETADATA {options}INBOX /private/a
        S: * METADATA INBOX ({found})
        S: a OK That is all
        C: b GETMETADATA INBOX {options}(/private/a)
        S: * METADATA INBOX ({found})
        S: b OK That is all
        """,
        start="logged in",
    )


def test_what_is_too_long_is_left_out_and_the_longest_of_it_told() -> None:
    play(
        f"""{FAMILY}
        C: a GETMETADATA (MAXSIZE 1 DEPTH infinity) INBOX /private
        S: * METADATA INBOX (/private/a "1" /private/ab "4")
        S: a OK [METADATA LONGENTRIES 3] That is all
        C: b GETMETADATA (DEPTH 1) INBOX /shared
        S: b OK That is all
        """,
        start="logged in",
    )


def test_an_entry_without_value_is_no_more() -> None:
    play(
        """
        C: a SETMETADATA INBOX (/private/a "1")
        S: a OK Noted
        C: b SETMETADATA INBOX (/PRIVATE/A NIL)
        S: b OK Noted
        C: c GETMETADATA INBOX /private/a
        S: * METADATA INBOX (/private/a NIL)
        S: c OK That is all
        C: d GETMETADATA Nowhere /private/a
        S: d NO [NONEXISTENT] There is no such folder
        """,
        start="logged in",
    )


def test_list_tells_metadata_of_every_folder_it_lists() -> None:
    play(
        r"""
        C: a CREATE Box
        S: a OK ...
        C: b SETMETADATA Box (/private/a "1")
        S: b OK Noted
        C: c LIST "" % RETURN (METADATA (/private/a))
        S: * LIST (\HasNoChildren) "/" INBOX
        S: * METADATA INBOX (/private/a NIL)
        S: * LIST (\HasNoChildren) "/" Box
        S: * METADATA Box (/private/a "1")
        S: c OK That is all
        """,
        start="logged in",
    )


def test_others_hear_of_metadata_if_they_have_asked_for_it() -> None:
    play(
        """
        C: a ENABLE METADATA
        S: * ENABLED METADATA
        S: a OK Enabled what can be
        C2: a ENABLE METADATA-SERVER
        S2: * ENABLED METADATA-SERVER
        S2: a OK Enabled what can be
        C4: a NOTIFY SET (MAILBOXES INBOX (MailboxMetadataChange ServerMetadataChange))
        S4: a OK You will be told
        C3: b SETMETADATA INBOX (/private/a "1")
        S3: b OK Noted
        S: * METADATA INBOX /private/a
        S4: * METADATA INBOX /private/a
        C3: c SETMETADATA "" (/private/a "1")
        S3: c OK Noted
        S: * METADATA "" /private/a
        S2: * METADATA "" /private/a
        S4: * METADATA "" /private/a
        C: d NOTIFY NONE
        S: d OK You will be told nothing
        C3: e SETMETADATA INBOX (/private/a "2")
        S3: e OK Noted
        S: * METADATA INBOX /private/a
        S4: * METADATA INBOX /private/a
        """,
        start="logged in",
    )


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ('SETMETADATA INBOX (/private "x")', "BAD The name of a metadata entry has at least..."),
        ('SETMETADATA INBOX (/private/ "x")', "BAD This is not the name of a metadata entry"),
        ('SETMETADATA INBOX ("/private/a*" "x")', "BAD This is not the name of a metadata entry"),
        ('SETMETADATA INBOX (/other/a "x")', "BAD This is not the name of a metadata entry"),
        ("GETMETADATA INBOX /private//a", "BAD This is not the name of a metadata entry"),
        ("GETMETADATA (DEPTH 2) INBOX /private/a", "BAD DEPTH is 0, 1 or infinity"),
        ("GETMETADATA (SIZE 2) INBOX /private/a", "BAD Unknown GETMETADATA option"),
        (
            "GETMETADATA INBOX (" + " ".join(["/private/a"] * (METADATA_ENTRIES_MAX + 1)) + ")",
            "BAD Too many metadata entries",
        ),
    ],
)
def test_what_is_no_entry_is_refused(command: str, answer: str) -> None:
    play(f"C: a {command}\nS: a {answer}", start="logged in")


def test_values_and_their_number_have_bounds() -> None:
    async def scene() -> None:
        client = await ImapHouse().member()
        size = ANNOTATION_BYTES_MAX
        client.send(b"t SETMETADATA INBOX (/private/a {%d+}\r\n%b)\r\n" % (size, b"x" * size))
        assert await client.line() == b"t OK Noted"
        client.send(
            b"t SETMETADATA INBOX (/private/a {%d+}\r\n%b)\r\n" % (size + 1, b"x" * (size + 1))
        )
        assert await client.line() == b"t NO [METADATA MAXSIZE 32768] A value is too long"
        most = " ".join(f'/private/{n} "1"' for n in range(ANNOTATIONS_PER_FOLDER_MAX))
        assert await client.command(f"SETMETADATA INBOX ({most})") == [
            "t NO [METADATA TOOMANY] There is no room for more entries"
        ]
        await client.hang_up()

    asyncio.run(scene())
