"""POP3 as dialogues (RFC 1939, RFC 2449, RFC 5034, RFC 6856)."""

import asyncio
import base64

import pytest

from epost.apps.mail.mailbox import DELETED, SEEN, FlagChange
from epost.foundation.errors import UnavailableError
from epost.servers.access import Channel, Scope, Secured
from epost.servers.pop3.limits import Pop3Limits
from tests.support.access import ALICE, MAIL_CHANNEL
from tests.support.imap_dialogue import MAIL, mail_about, put
from tests.support.pop3_dialogue import Pop3Client, Pop3House, play

DOTTED = b"Subject: dots\r\n\r\n.\r\n..\r\nin.the middle\r\n.last\r\n"


def test_a_maildrop_is_counted_listed_and_named() -> None:
    play(
        f"""
        C: STAT
        S: +OK 2 {len(MAIL) + len(DOTTED)}
        C: LIST
        S: +OK 2 messages, {len(MAIL) + len(DOTTED)} octets
        S: 1 {len(MAIL)}
        S: 2 {len(DOTTED)}
        S: .
        C: LIST 2
        S: +OK 2 {len(DOTTED)}
        C: UIDL 3
        S: -ERR There is no such message
        C: NOOP
        S: +OK Nothing done
        """,
        mails=[MAIL, DOTTED],
    )


def test_unique_ids_are_those_of_the_mails_in_every_session() -> None:
    async def scene() -> None:
        house = Pop3House()
        for octets in (MAIL, DOTTED, MAIL):
            await put(house.mail, octets)
        seen = []
        for _ in range(2):
            client = await house.member()
            await client.command("UIDL")
            seen.append(await client.body())
            await client.command("QUIT")
            await client.serving
        rows = await house.mail.folder("INBOX").rows([1, 2, 3])
        assert seen[0] == seen[1] == [f"{r.uid} {r.email_id}".encode() for r in rows]

    asyncio.run(scene())


def test_a_mail_comes_octet_by_octet_with_its_dots_doubled() -> None:
    play(
        f"""
        C: RETR 1
        S: +OK {len(DOTTED)} octets
        S: Subject: dots
        S:
        S: ..
        S: ...
        S: in.the middle
        S: ..last
        S: .
        C: TOP 1 1
        S: +OK {len(DOTTED[:20])} octets
        S: Subject: dots
        S:
        S: ..
        S: .
        C: TOP 1 0
        S: +OK 17 octets
        S: Subject: dots
        S:
        S: .
        C: TOP 1 99
        S: +OK {len(DOTTED)} octets
        S: Subject: dots
        S:
        S: ..
        S: ...
        S: in.the middle
        S: ..last
        S: .
        """,
        mails=[DOTTED],
    )


def test_only_quit_removes_and_what_was_fetched_is_seen() -> None:
    mail = play(
        """
        C: RETR 1
        S: +OK...
        S: From: Bob <bob@example.org>
        S: To: alice@example.org
        S: Subject: lunch
        S: Date: Mon, 1 Jan 2024 12:00:00 +0100
        S: Message-ID: <1@example.org>
        S:
        S: At noon?
        S: .
        C: DELE 2
        S: +OK Message 2 goes with QUIT
        C: DELE 2
        S: -ERR There is no such message
        C: RETR 2
        S: -ERR There is no such message
        C: LIST
        S: +OK 2 messages...
        S: 1 ...
        S: 3 ...
        S: .
        C: RSET
        S: +OK 3 messages...
        C: DELE 3
        S: +OK Message 3 goes with QUIT
        C: QUIT
        S: +OK Good-bye
        """,
        mails=[MAIL, mail_about("two"), mail_about("three")],
    )
    rows = asyncio.run(mail.folder("INBOX").rows([1, 2, 3]))
    assert [(row.uid, sorted(row.flags)) for row in rows] == [(1, [SEEN]), (2, [])]


def test_without_quit_nothing_is_removed() -> None:
    mail = play("C: DELE 1\nS: +OK Message 1 goes with QUIT", mails=[MAIL])
    assert list(mail.folder("INBOX").uids()) == [1]


def test_one_program_at_a_time_has_the_maildrop() -> None:
    async def scene() -> None:
        house = Pop3House()
        first = await house.member()
        second = house.stranger()
        await second.line()
        for _ in range(2):
            await second.command(f"USER {ALICE}")
            answer = await second.command(f"PASS {house.access.token}")
            assert answer == b"-ERR [IN-USE] Another program is taking mail at the moment"
        await first.hang_up()
        await second.command(f"USER {ALICE}")
        assert (await second.command(f"PASS {house.access.token}")).startswith(b"+OK 0 messages")
        assert (await second.command("USER again")) == b"-ERR You are logged in already"
        await second.hang_up()

    asyncio.run(scene())


def test_what_comes_meanwhile_waits_and_what_goes_meanwhile_cannot_be_read() -> None:
    async def scene() -> None:
        house = Pop3House()
        inbox = house.mail.folder("INBOX")
        await put(house.mail, MAIL)
        client = await house.member()
        await put(house.mail, MAIL)
        assert await client.command("STAT") == f"+OK 1 {len(MAIL)}".encode()
        await inbox.change_flags([1], FlagChange.ADD, frozenset({DELETED}))
        await inbox.expunge([1])
        gone = b"-ERR Another program has removed this message"
        assert await client.command("RETR 1") == gone
        assert await client.command("TOP 1 0") == gone
        inbox.unavailable.add(2)
        assert await client.command("DELE 1") == b"+OK Message 1 goes with QUIT"
        assert await client.command("QUIT") == b"+OK Good-bye"
        client = await house.member()
        later = b"-ERR [SYS/TEMP] Not available now, please try again later"
        assert await client.command("RETR 1") == later
        await client.hang_up()

    asyncio.run(scene())


def test_what_cannot_be_removed_now_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        house = Pop3House()
        await put(house.mail, MAIL)
        client = await house.member()
        await client.command("DELE 1")

        async def fail(*_: object) -> None:
            raise UnavailableError("the disk is full")

        monkeypatch.setattr(type(house.mail.folder("INBOX")), "expunge", fail)
        answer = await client.command("QUIT")
        assert answer.startswith(b"-ERR [SYS/TEMP] Some messages were not removed")
        await client.serving
        assert client.writer.is_closed

    asyncio.run(scene())


def test_capabilities_are_those_of_the_channel() -> None:
    play(
        """
        S: +OK ePOST
        C: CAPA
        S: +OK This can be done
        S: TOP
        S: UIDL
        S: RESP-CODES
        S: AUTH-RESP-CODE
        S: PIPELINING
        S: EXPIRE NEVER
        S: UTF8 USER
        S: USER
        S: SASL SCRAM-SHA-256 PLAIN LOGIN
        S: IMPLEMENTATION ePOST
        S: .
        C: STLS
        S: -ERR TLS is not offered here
        C: UTF8
        S: +OK UTF-8 it is
        C: STAT
        S: -ERR Please log in first
        C: QUIT
        S: +OK Good-bye
        """,
        start="connected",
    )


def test_logins_in_the_clear_need_a_channel_that_nobody_hears() -> None:
    async def scene() -> None:
        client = Pop3House().stranger(Channel("10.0.0.1", Scope.MAIL, passwords_allowed=False))
        await client.line()
        refused = b"-ERR [SYS/PERM] No password in the clear: use STLS or SCRAM"
        assert await client.command("USER alice") == refused
        assert await client.command("PASS x") == refused
        assert await client.command("AUTH PLAIN") == b"-ERR This mechanism is not offered here"
        await client.command("CAPA")
        assert b"USER" not in await client.body()
        await client.hang_up()

    asyncio.run(scene())


def test_a_login_with_sasl_may_fail_and_be_tried_again() -> None:
    async def scene() -> None:
        house = Pop3House()
        plain = base64.b64encode(f"\0{ALICE}\0{house.access.token}".encode()).decode()
        client = house.stranger()
        await client.line()
        assert await client.command("AUTH PLAIN ?") == (
            b"-ERR The response is not one of this mechanism"
        )
        assert await client.command("AUTH PLAIN") == b"+ "
        assert await client.command("*") == b"-ERR Authentication was cancelled"
        assert await client.command("AUTH PLAIN =") == (
            b"-ERR The response is not one of this mechanism"
        )
        wrong = base64.b64encode(f"\0{ALICE}\0wrong".encode()).decode()
        answer = await client.command(f"AUTH PLAIN {wrong}")
        assert answer.startswith(b"-ERR [AUTH] Name or password is wrong: ")
        assert await client.command("AUTH PLAIN") == b"+ "
        assert await client.command(plain) == b"+OK 0 messages, 0 octets"
        await client.hang_up()
        other = house.stranger()
        await other.line()
        assert await other.command(f"auth plain {plain}") == b"+OK 0 messages, 0 octets"
        await other.hang_up()

    asyncio.run(scene())


def test_a_password_may_have_spaces_and_needs_a_name_before_it() -> None:
    play(
        f"""
        S: +OK ePOST
        C: PASS TOKEN
        S: -ERR Please say USER first
        C: USER {ALICE}
        S: +OK And the password?
        C: PASS  TOKEN
        S: -ERR [AUTH] Name or password is wrong...
        C: PASS TOKEN
        S: -ERR Please say USER first
        C: user {ALICE}
        S: +OK And the password?
        C: pass TOKEN
        S: +OK 1 messages...
        """,
        mails=[MAIL],
        start="connected",
    )


def test_after_stls_nothing_said_before_counts() -> None:
    async def scene() -> None:
        house = Pop3House()
        later = Pop3Client(house.site)  # stands for the connection behind the handshake
        later.serving.cancel()

        async def start_tls(last_words: bytes) -> Secured:
            client.writer.write(last_words)
            channel = Channel("127.0.0.1", Scope.MAIL, True, tls_server_end_point=b"e" * 32)
            return Secured(later.reader, later.writer, channel)

        client = Pop3Client(house.site, MAIL_CHANNEL, start_tls)
        await client.line()
        client.send(f"USER {ALICE}\r\nSTLS\r\nUSER evil\r\n".encode())
        assert await client.line() == b"+OK And the password?"
        assert await client.line() == b"+OK Begin the TLS negotiation"
        later.send(f"PASS {house.access.token}\r\nCAPA\r\n".encode())
        lines = [await later.line() for _ in range(12)]
        assert lines[0] == b"-ERR Please say USER first"
        assert b"SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in lines
        assert b"STLS" not in lines
        later.reader.feed_eof()
        await client.serving

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("FOO", "Unknown command"),
        ("", "A command is a word"),
        ("LIST x", "A number is expected"),
        ("LIST 1 2", "Wrong number of arguments"),
        ("TOP 1", "Wrong number of arguments"),
        ("RETR 99999999999", "A number is expected"),
        ("DELE 0", "There is no such message"),
        ("STAT now", "Wrong number of arguments"),
    ],
)
def test_what_is_no_command_is_refused(line: str, answer: str) -> None:
    play(f"C: {line}\nS: -ERR {answer}", mails=[MAIL])


def test_lines_end_with_crlf() -> None:
    async def scene() -> None:
        client = await Pop3House().member()
        client.send(b"NOOP\nNOOP\r\n")
        assert (await client.line()).startswith(b"-ERR A line ends with CRLF")
        assert await client.line() == b"+OK Nothing done"
        await client.hang_up()

    asyncio.run(scene())


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02", b"POST"])
def test_other_protocols_are_shown_the_door(first: bytes) -> None:
    async def scene() -> None:
        client = Pop3House().stranger()
        await client.line()
        client.send(first)
        assert await client.line() == b"-ERR This is a POP3 server"
        await client.serving
        assert client.writer.is_closed

    asyncio.run(scene())


def test_a_client_has_bounds() -> None:
    async def scene() -> None:
        limits = Pop3Limits(line_bytes_max=100, commands_before_login_max=3, bad_commands_max=2)
        house = Pop3House(limits=limits)
        long = house.stranger()
        await long.line()
        long.send(b"USER " + b"x" * 100)
        assert await long.line() == b"-ERR A line is too long"
        await long.serving
        talker = house.stranger()
        await talker.line()
        talker.send(b"CAPA\r\nUSER a\r\nUSER b\r\n")
        await talker.body()
        assert [await talker.line() for _ in range(3)][-1] == b"-ERR Please log in sooner"
        await talker.serving
        member = await house.member()
        member.send(b"FOO\r\nNOOP\r\nFOO\r\nBAR\r\nNOOP\r\n")
        lines = [await member.line() for _ in range(5)]
        assert lines[-1] == b"-ERR Too many bad commands"
        await member.serving

    asyncio.run(scene())


def test_silence_ends_a_conversation() -> None:
    async def scene() -> None:
        house = Pop3House(limits=Pop3Limits(login_timeout_seconds=0.01))
        client = house.stranger()
        await client.line()
        assert await client.line() == b"-ERR [SYS/TEMP] You were silent for too long"
        await client.serving

    asyncio.run(scene())


def test_a_daemon_that_stops_says_so_and_removes_nothing() -> None:
    async def scene() -> None:
        house = Pop3House()
        await put(house.mail, MAIL)
        client = await house.member()
        await client.command("DELE 1")
        client.serving.cancel()
        assert await client.line() == b"-ERR [SYS/TEMP] The server is shutting down"
        with pytest.raises(asyncio.CancelledError):
            await client.serving
        assert list(house.mail.folder("INBOX").uids()) == [1]

    asyncio.run(scene())


def test_a_client_that_does_not_read_is_given_up() -> None:
    async def scene() -> None:
        house = Pop3House(limits=Pop3Limits(stalled_timeout_seconds=0.01))
        await put(house.mail, mail_about("big", "x" * 600_000 + "\r\n"))
        client = await house.member()
        client.writer.is_open_for_writing.clear()
        client.send(b"RETR 1\r\n")
        await client.serving
        assert client.writer.is_closed
        assert len(client.writer.written) < 300_000

    asyncio.run(scene())
