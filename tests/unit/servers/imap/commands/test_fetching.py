"""FETCH and UID FETCH as dialogues."""

import asyncio

from tests.support.imap_dialogue import MAIL, ImapHouse, mail_about, play, put
from tests.support.memory_mailstore import MemoryMail

NESTED = (
    b"From: a@x\r\nSubject: outer\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\none\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inner\r\nTo: c@x\r\n\r\ninside\r\n"
    b"--b--\r\n"
)


def test_everything_from_the_index() -> None:
    play(
        r"""
        C: a FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ THREADID)
        S: * OK [HIGHESTMODSEQ 2] Latest change
        S: * 1 FETCH (UID 1 FLAGS (\Recent) INTERNALDATE "14-Nov-2023 23:13:20 +0100" \
            RFC822.SIZE 147 MODSEQ (2) THREADID NIL)
        S: a OK That is all
        C: b FETCH 1 ENVELOPE
        S: * 1 FETCH (ENVELOPE ("Mon, 1 Jan 2024 12:00:00 +0100" "lunch" \
            (("Bob" NIL "bob" "example.org")) (("Bob" NIL "bob" "example.org")) \
            (("Bob" NIL "bob" "example.org")) ((NIL NIL "alice" "example.org")) \
            NIL NIL NIL "<1@example.org>"))
        S: b OK That is all
        C: c FETCH 1 (BODY BODYSTRUCTURE)
        S: * 1 FETCH (BODY ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 1) \
            BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 1 \
            NIL NIL NIL NIL))
        S: c OK That is all
        C: d FETCH 1 FAST
        S: * 1 FETCH (FLAGS (\Recent) INTERNALDATE "14-Nov-2023 23:13:20 +0100" RFC822.SIZE 147)
        S: d OK That is all
        C: e FETCH 1 ALL
        S: * 1 FETCH (FLAGS (\Recent) INTERNALDATE ...
        S: e OK That is all
        C: f UID FETCH 1 FULL
        S: * 1 FETCH (UID 1 FLAGS (\Recent) INTERNALDATE ...
        S: f OK That is all
        C: g FETCH 1 EMAILID
        S: * 1 FETCH (EMAILID (...
        S: g OK That is all
        """,
        mails=[MAIL],
    )


def test_reading_a_body_sets_seen_and_tells_so() -> None:
    play(
        r"""
        C: a FETCH 1 BODY.PEEK[TEXT]
        S: * 1 FETCH (BODY[TEXT] {10}
        S: At noon?
        S: )
        S: a OK That is all
        C: b FETCH 1 BODY[TEXT]
        S: * 1 FETCH (FLAGS (\Recent \Seen) BODY[TEXT] {10}
        S: At noon?
        S: )
        S: b OK That is all
        C: c FETCH 1 (RFC822.TEXT FLAGS)
        S: * 1 FETCH (FLAGS (\Recent \Seen) RFC822.TEXT {10}
        S: At noon?
        S: )
        S: c OK That is all
        """,
        mails=[MAIL],
    )


def test_a_folder_open_for_reading_stays_as_it_is() -> None:
    mail = play(
        r"""
        C: a EXAMINE INBOX
        S: * OK [CLOSED] ...
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ()] ...
        S: * 1 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: a OK [READ-ONLY] ...
        C: b FETCH 1 BODY[TEXT]
        S: * 1 FETCH (BODY[TEXT] {10}
        S: At noon?
        S: )
        S: b OK That is all
        """,
        mails=[MAIL],
    )
    assert mail.folder("INBOX").counters().unseen == 1


def test_header_sections_need_no_body() -> None:
    play(
        r"""
        C: a FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject "TO")]
        S: * 1 FETCH (BODY[HEADER.FIELDS (Subject TO)] {41}
        S: To: alice@example.org
        S: Subject: lunch
        S:
        S: )
        S: a OK That is all
        C: b FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (from to date message-id)]
        S: * 1 FETCH (BODY[HEADER.FIELDS.NOT (from to date message-id)] {18}
        S: Subject: lunch
        S:
        S: )
        S: b OK That is all
        C: c FETCH 1 RFC822.HEADER
        S: * 1 FETCH (RFC822.HEADER {137}
        S: From: Bob <bob@example.org>
        S: To: alice@example.org
        S: Subject: lunch
        S: Date: Mon, 1 Jan 2024 12:00:00 +0100
        S: Message-ID: <1@example.org>
        S:
        S: )
        S: c OK That is all
        C: d FETCH 1 BODY.PEEK[HEADER]<0.9>
        S: * 1 FETCH (BODY[HEADER]<0> {9}
        S: From: Bob)
        S: d OK That is all
        """,
        mails=[MAIL],
    )


def test_a_section_that_a_mail_does_not_have_is_nil() -> None:
    play(
        """
        C: a FETCH 1 (BODY.PEEK[1] BODY.PEEK[2.1] BODY.PEEK[2.HEADER.FIELDS (To)] BODY.PEEK[3])
        S: * 1 FETCH (BODY[1] {3}
        S: one BODY[2.1] {6}
        S: inside BODY[2.HEADER.FIELDS (To)] {11}
        S: To: c@x
        S:
        S:  BODY[3] NIL)
        S: a OK That is all
        C: b FETCH 1 (BODY.PEEK[1.MIME] BODY.PEEK[2.TEXT]<2.3> BODY.PEEK[1]<9.5>)
        S: * 1 FETCH (BODY[1.MIME] {28}
        S: Content-Type: text/plain
        S:
        S:  BODY[2.TEXT]<2> {3}
        S: sid BODY[1]<9> "")
        S: b OK That is all
        """,
        mails=[NESTED],
    )


def test_the_whole_mail_comes_back_octet_for_octet() -> None:
    play(
        r"""
        C: a UID FETCH 1 RFC822
        S: * 1 FETCH (UID 1 FLAGS (\Recent \Seen) RFC822 {24}
        S: Subject: café
        S:
        S: body
        S: )
        S: a OK That is all
        """.replace(r"\303\251", "Ã©"),
        mails=["Subject: café\r\n\r\nbody\r\n".encode()],
    )


def test_changed_since_tells_only_what_changed() -> None:
    play(
        r"""
        C: a STORE 2 +FLAGS (\Flagged)
        S: * 2 FETCH (FLAGS (\Flagged \Recent))
        S: a OK Stored
        C: b FETCH 1:* FLAGS (CHANGEDSINCE 4)
        S: * OK [HIGHESTMODSEQ 5] Latest change
        S: * 2 FETCH (FLAGS (\Flagged \Recent) MODSEQ (5))
        S: b OK That is all
        C: c UID FETCH 1 FLAGS (CHANGEDSINCE 4)
        S: c OK That is all
        C: d STORE 1 +FLAGS.SILENT (\Seen)
        S: * 1 FETCH (MODSEQ (6))
        S: d OK Stored
        """,
        mails=[MAIL, MAIL, MAIL],
    )


def test_reading_with_condstore_tells_the_new_modseq() -> None:
    play(
        r"""
        C: a ENABLE CONDSTORE X-UNKNOWN
        S: * ENABLED CONDSTORE
        S: * OK [HIGHESTMODSEQ 2] Latest change
        S: a OK Enabled what can be
        C: b UID FETCH 1 BODY[TEXT]
        S: * 1 FETCH (UID 1 FLAGS (\Recent \Seen) MODSEQ (3) BODY[TEXT] {10}
        S: At noon?
        S: )
        S: b OK That is all
        """,
        mails=[MAIL],
    )


def test_a_mail_that_cannot_be_read_now_does_not_hide_the_others() -> None:
    async def scene() -> None:
        house = ImapHouse()
        for subject in "abc":
            await put(house.mail, mail_about(subject))
        house.mail.folder("INBOX").unavailable.add(2)
        client = await house.member()
        await client.command("SELECT INBOX")
        answer = await client.command("FETCH 1:3 BODY.PEEK[TEXT]<0.1>")
        assert [line for line in answer if line.startswith("*")] == [
            "* 1 FETCH (BODY[TEXT]<0> {1}",
            "* 3 FETCH (BODY[TEXT]<0> {1}",
        ]
        assert answer[-1].startswith("t NO [UNAVAILABLE] 1 mails")
        assert (await client.command("FETCH 2 RFC822.SIZE"))[0].startswith("* 2 FETCH (")
        await client.hang_up()

    asyncio.run(scene())


def test_a_mail_that_was_never_at_hand_does_not_hide_the_others() -> None:
    async def scene() -> None:
        house = ImapHouse()
        for subject in "abc":
            await put(house.mail, mail_about(subject))
        house.mail.folder("INBOX").unrendered.add(2)
        client = await house.member()
        await client.command("SELECT INBOX")
        answer = await client.command("FETCH 1:3 (UID BODY.PEEK[HEADER.FIELDS (Foo)])")
        assert [line for line in answer if line.startswith("*")] == [
            "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (Foo)] {2}",
            "* 3 FETCH (UID 3 BODY[HEADER.FIELDS (Foo)] {2}",
        ]
        assert answer[-1].startswith("t NO [UNAVAILABLE] 1 mails")
        assert len(await client.command("FETCH 1:3 ENVELOPE")) == 3
        await client.hang_up()

    asyncio.run(scene())


def test_messages_that_another_session_removed_are_reported_missing() -> None:
    play(
        r"""
        C: a STORE 1 +FLAGS.SILENT (\Deleted)
        S: a OK Stored
        C2: a EXPUNGE
        S2: * 1 EXPUNGE
        S2: a OK Expunged
        C: b FETCH 1:2 UID
        S: * 2 FETCH (UID 2)
        S: b NO [EXPUNGEISSUED] Some of the messages no longer exist
        C: c UID FETCH 1 (UID ENVELOPE BODY.PEEK[HEADER] BODY.PEEK[])
        S: * 1 EXPUNGE
        S: c OK That is all
        """,
        mails=[MAIL, MAIL],
    )


def test_numbers_out_of_range_are_refused() -> None:
    play(
        """
        C: a FETCH 2 UID
        S: a BAD There is no message with this number
        C: b FETCH 1:9 UID
        S: * 1 FETCH (UID 1)
        S: b OK That is all
        C: c UID FETCH 7:* UID
        S: * 1 FETCH (UID 1)
        S: c OK That is all
        C: d UID FETCH 7:9 UID
        S: d OK That is all
        """,
        mails=[MAIL],
    )


def test_star_in_an_empty_folder_is_nothing() -> None:
    play(
        """
        C: a FETCH 1:* FLAGS
        S: a OK That is all
        C: b UID FETCH 1:* FLAGS
        S: b OK That is all
        C: c FETCH * FLAGS
        S: c OK That is all
        """
    )


def test_bad_items_are_refused() -> None:
    play(
        """
        C: a FETCH 1 FOO
        S: a BAD Unknown fetch item
        C: b FETCH 1 BODY[FOO]
        S: b BAD Unknown section
        C: c FETCH 1 BODY[]<0.0>
        S: c BAD A partial fetch asks for at least one octet
        C: d FETCH 1 BODY[MIME]
        S: d BAD Unknown section
        C: e FETCH 1 UID (SINCE 4)
        S: e BAD Unknown FETCH modifier
        C: f FETCH 0 UID
        S: f BAD Message set is not well-formed
        """,
        mails=[MAIL],
    )


def test_a_big_folder_comes_in_slices_and_waits_for_a_slow_client() -> None:
    async def scene() -> None:
        house = ImapHouse()
        for number in range(30):
            await put(house.mail, mail_about(str(number), body="x" * 60_000 + "\r\n"))
        client = await house.member()
        await client.command("SELECT INBOX")
        client.writer.is_open_for_writing.clear()
        client.writer.written.clear()
        client.send(b"t FETCH 1:30 BODY.PEEK[]\r\n")
        for _ in range(500):
            await asyncio.sleep(0)
        assert 0 < len(client.writer.written) < 1_200_000
        client.writer.is_open_for_writing.set()
        while not (await client.line()).startswith(b"t OK"):
            pass
        assert max(client.writer.writes) <= 256 * 1024
        await client.hang_up()

    asyncio.run(scene())


def test_a_mail_read_bit_by_bit_is_loaded_once() -> None:
    async def scene() -> None:
        house = ImapHouse(mail := MemoryMail())
        await put(mail, MAIL)
        client = await house.member()
        await client.command("SELECT INBOX")
        await client.command("FETCH 1 BODY.PEEK[]<0.10>")
        mail.folder("INBOX").unavailable.add(1)
        answer = await client.command("FETCH 1 BODY.PEEK[]<6.3>")
        assert answer == ["* 1 FETCH (BODY[]<6> {3}", "Bob)", "t OK That is all"]
        await client.hang_up()

    asyncio.run(scene())


def test_messages_named_one_by_one_in_any_order_come_once_and_ascending() -> None:
    play(
        r"""
        C: a FETCH 3,1,3 UID
        S: * 1 FETCH (UID 1)
        S: * 3 FETCH (UID 3)
        S: a OK That is all
        C: b FETCH 3,4294967296 UID
        S: b BAD ...
        C: c FETCH 0,1 UID
        S: c BAD ...
        """,
        mails=[MAIL] * 3,
    )
