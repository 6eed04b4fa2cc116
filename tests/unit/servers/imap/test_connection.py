"""What ends a connection, and how much of it a client may use."""

import asyncio

import pytest

from epost.servers.imap.limits import ImapLimits
from tests.support.imap_dialogue import MAIL, ImapHouse, WireClient, mail_about, play, put


@pytest.mark.parametrize(
    "first",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST", b"\x16\x03\x01\x02\x00", b"\xff\xfe\r\n"],
)
def test_other_protocols_are_shown_the_door(first: bytes) -> None:
    async def scene() -> None:
        client = ImapHouse().stranger()
        await client.line()
        client.send(first)
        assert await client.line() == b"* BYE This is an IMAP server"
        await client.serving
        assert client.writer.is_closed

    asyncio.run(scene())


def test_ten_bad_commands_in_a_row_are_enough() -> None:
    script = ["S: * OK ..."]
    script += ["C: a FOO", "S: a BAD Unknown command"] * 9
    script += ["C: a NOOP", "S: a OK Nothing done"]
    script += ["C: a FOO", "S: a BAD Unknown command"] * 10
    play("\n".join([*script, "S: * BYE Too many bad commands"]), start="connected")


def test_a_stranger_may_not_stay_for_ever() -> None:
    script = ["S: * OK ..."] + ["C: a NOOP", "S: a OK Nothing done"] * 3
    play(
        "\n".join([*script, "S: * BYE Please log in sooner"]),
        start="connected",
        limits=ImapLimits(commands_before_login_max=3),
    )


def test_malformed_lines_are_answered_and_survived() -> None:
    async def scene() -> None:
        client = await ImapHouse().member()
        for line, answer in (
            (b"a NOOP\n", b"a BAD A line ends with CRLF and holds no other CR and no NUL"),
            (b"b NO\rOP\r\n", b"b BAD A line ends with CRLF and holds no other CR and no NUL"),
            (b"c NO\0OP\r\n", b"c BAD A line ends with CRLF and holds no other CR and no NUL"),
            (b"d APPEND INBOX {3+}\r\na\0b\r\n", b"d BAD A literal holds no NUL"),
            (b"\r\n", b"* BAD Tag expected"),
            (b"+ NOOP\r\n", b"* BAD Tag expected"),
            (b"e\r\n", b"e BAD Space expected"),
            (b"f NOOP \r\n", b"f BAD Command is too long or has a superfluous space"),
            (b"g UID NOOP\r\n", b"g BAD Unknown command"),
            (b"h NOOP\r\n", b"h OK Nothing done"),
        ):
            client.send(line)
            assert await client.line() == answer
        await client.hang_up()

    asyncio.run(scene())


def test_a_line_without_end_is_hopeless() -> None:
    async def scene() -> None:
        client = ImapHouse(limits=ImapLimits(line_bytes_max=1000)).stranger()
        await client.line()
        client.send(b"a NOOP" + b" " * 995)
        assert await client.line() == b"* BYE Command line is too long"
        await client.serving

    asyncio.run(scene())


def test_an_endless_answer_to_a_challenge_is_hopeless() -> None:
    async def scene() -> None:
        client = ImapHouse(limits=ImapLimits(line_bytes_max=1000)).stranger()
        await client.line()
        client.send(b"a AUTHENTICATE PLAIN\r\n")
        await client.line()
        client.send(b"x" * 1001)
        assert (await client.line()).startswith(b"a BAD")
        assert await client.line() == b"* BYE Command line is too long"
        await client.serving

    asyncio.run(scene())


def test_strangers_get_small_literals_only() -> None:
    play(
        """
        S: * OK ...
        C: a LOGIN {4097}
        S: a NO [TOOBIG] Literal of 4097 octets is too big
        C: b LOGIN {1+}
        C: a {3}
        S: + Go ahead
        C: foo
        S: b NO [AUTHENTICATIONFAILED] Name or password is wrong...
        C: c LOGIN {4097+}
        S: * BYE Literal is too big
        """,
        start="connected",
    )


def test_pipelined_commands_are_answered_in_order() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await put(house.mail, MAIL)
        client = await house.member()
        client.send(b"a SELECT INBOX\r\nb FETCH 1 UID\r\nc NOOP\r\nd LOGOUT\r\n")
        await client.serving
        lines = client.writer.written.split(b"\r\n")
        tagged = [line[:4] for line in lines if line[:2] in (b"a ", b"b ", b"c ", b"d ")]
        assert tagged == [b"a OK", b"b OK", b"c OK", b"d OK"]

    asyncio.run(scene())


def test_a_silent_client_is_let_go() -> None:
    async def scene() -> None:
        limits = ImapLimits(login_timeout_seconds=0.01, idle_timeout_seconds=0.01)
        house = ImapHouse(limits=limits)
        stranger = house.stranger()
        await stranger.line()
        assert await stranger.line() == b"* BYE You were silent for too long"
        await stranger.serving
        member = await house.member()
        assert await member.line() == b"* BYE You were silent for too long"
        await member.serving

    asyncio.run(scene())


def test_a_client_that_does_not_read_is_let_go() -> None:
    async def scene() -> None:
        house = ImapHouse(limits=ImapLimits(stalled_timeout_seconds=0.01))
        await put(house.mail, mail_about("x", "y" * 600_000))
        client = await house.member()
        await client.command("SELECT INBOX")
        client.writer.is_open_for_writing.clear()
        client.send(b"a FETCH 1 RFC822\r\n")
        await client.serving
        assert client.writer.is_closed

    asyncio.run(scene())


def test_a_server_that_stops_says_so() -> None:
    async def scene() -> None:
        client = await ImapHouse().member()
        client.serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.serving
        assert await client.line() == b"* BYE The server is shutting down"
        assert client.writer.is_closed

    asyncio.run(scene())


def test_a_mistake_of_ours_ends_the_connection_politely() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await house.member()
        house.mail.folders = None  # type: ignore[method-assign,assignment] # a fault to be found
        client.send(b'a LIST "" *\r\n')
        assert await client.line() == b"* BYE The server has a problem"
        with pytest.raises(TypeError):
            await client.serving

    asyncio.run(scene())


def test_what_hung_up_is_forgotten_by_its_folder() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await house.member()
        await client.command("SELECT INBOX")
        await client.hang_up()
        assert not house.mail.folder("INBOX")._listeners

    asyncio.run(scene())


def test_a_member_may_skip_a_refused_literal() -> None:
    async def scene() -> None:
        house = ImapHouse(limits=ImapLimits(literal_bytes_max=10, skipped_literal_bytes_max=5000))
        client: WireClient = await house.member()
        client.send(b"a SELECT {20+}\r\n" + b"x" * 20 + b"\r\nb NOOP\r\n")
        assert await client.line() == b"a NO [TOOBIG] Literal of 20 octets is too big"
        assert await client.line() == b"b OK Nothing done"
        client.send(b"c SELECT {5001+}\r\n")
        assert await client.line() == b"* BYE Literal is too big"
        await client.serving

    asyncio.run(scene())
