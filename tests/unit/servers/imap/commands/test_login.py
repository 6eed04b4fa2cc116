"""LOGIN, AUTHENTICATE and STARTTLS."""

import asyncio
import base64
from dataclasses import replace

from epost.servers.access import Secured
from epost.servers.imap.dispatch import READING, VERBS
from tests.support.access import ALICE, MAIL_CHANNEL, ScramClient
from tests.support.imap_dialogue import ImapHouse, WireClient, play


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_login_tells_the_capabilities() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = house.stranger()
        greeting = await client.line()
        assert greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ")
        assert b"AUTH=SCRAM-SHA-256 AUTH=PLAIN" in greeting
        (wrong,) = await client.command(f'LOGIN {ALICE} "nonsense"')
        assert wrong.startswith("t NO [AUTHENTICATIONFAILED] Name or password is wrong: ")
        (right,) = await client.command(f'LOGIN "{ALICE}" {house.access.token}')
        assert right.startswith("t OK [CAPABILITY IMAP4rev1 ")
        assert "APPENDLIMIT=2147483648" in right
        (again,) = await client.command(f'LOGIN "{ALICE}" {house.access.token}')
        assert again == "t BAD You are logged in already"
        await client.hang_up()

    asyncio.run(scene())


def test_plain_with_and_without_an_initial_response() -> None:
    async def scene() -> None:
        house = ImapHouse()
        response = encoded(f"\0{ALICE}\0{house.access.token}".encode())
        first, second = house.stranger(), house.stranger()
        await first.line()
        (done,) = await first.command(f"AUTHENTICATE plain {response}")
        assert done.startswith("t OK")
        await second.line()
        second.send(b"t AUTHENTICATE PLAIN\r\n")
        assert await second.line() == b"+ "
        second.send(response.encode() + b"\r\n")
        assert (await second.line()).startswith(b"t OK")
        for client in (first, second):
            await client.hang_up()

    asyncio.run(scene())


def test_with_scram_client_and_server_prove_the_password_to_each_other() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = house.stranger()
        await client.line()
        scram = ScramClient(ALICE, house.access.token)
        client.send(f"t AUTHENTICATE SCRAM-SHA-256 {encoded(scram.first())}\r\n".encode())
        challenge = base64.b64decode((await client.line())[2:])
        client.send(encoded(scram.final(challenge)).encode() + b"\r\n")
        assert scram.trusts(base64.b64decode((await client.line())[2:]))
        client.send(b"\r\n")
        assert (await client.line()).startswith(b"t OK")
        await client.hang_up()

    asyncio.run(scene())


def test_a_login_that_goes_wrong_is_told_why() -> None:
    play(
        """
        S: * OK ...
        C: a AUTHENTICATE FOO
        S: a NO [CANNOT] This mechanism is not offered here
        C: b AUTHENTICATE PLAIN
        S: +...
        C: *
        S: b BAD Authentication was cancelled
        C: c AUTHENTICATE PLAIN
        S: +...
        C: !!!
        S: c BAD The response is not one of this mechanism
        C: d AUTHENTICATE PLAIN =
        S: d BAD The response is not one of this mechanism
        C: e AUTHENTICATE PLAIN a
        S: e BAD Base64 expected
        C: f LOGIN a
        S: f BAD Space expected
        C: g STARTTLS
        S: g BAD TLS is not offered here
        C: h SELECT INBOX
        S: h BAD Please log in first
        """.replace("S: +...", "S: + "),
        start="connected",
    )


def test_too_many_failures_must_come_back_later() -> None:
    async def scene() -> None:
        house = ImapHouse()
        house.access.time.stop()
        clients = [house.stranger() for _ in range(3)]
        for client in clients:
            await client.line()
        for _ in range(7):
            house.access.throttle.failed(MAIL_CHANNEL.source, ALICE)
        waiting = [asyncio.create_task(client.command(f"LOGIN {ALICE} x")) for client in clients]
        done = await waiting[2]
        assert done == ["t NO [UNAVAILABLE] Too many failures, please try again later"]
        assert house.access.time.go_on is not None
        house.access.time.go_on.set()
        await waiting[0]
        await waiting[1]
        for client in clients:
            await client.hang_up()

    asyncio.run(scene())


def test_no_password_travels_in_the_clear() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = house.stranger(replace(MAIL_CHANNEL, passwords_allowed=False))
        assert b"LOGINDISABLED AUTH=SCRAM-SHA-256]" in await client.line()
        (answer,) = await client.command(f"LOGIN {ALICE} {house.access.token}")
        assert answer.startswith("t NO [PRIVACYREQUIRED]")
        await client.hang_up()

    asyncio.run(scene())


def test_starttls_changes_the_channel_and_forgets_what_was_sent_ahead() -> None:
    async def scene() -> None:
        house = ImapHouse()
        clear = replace(MAIL_CHANNEL, passwords_allowed=False)
        inner = house.stranger()  # lends its streams as the inside of the TLS connection
        inner.serving.cancel()

        async def upgrade(last_words: bytes) -> Secured:
            client.writer.write(last_words)
            inner.writer.is_closed = False
            return Secured(inner.reader, inner.writer, MAIL_CHANNEL)

        client = WireClient(house.site, clear, start_tls=upgrade)
        assert b" STARTTLS LOGINDISABLED " in await client.line()
        client.send(b"a STARTTLS\r\nb INJECTED\r\n")
        assert await client.line() == b"a OK Begin the TLS negotiation"
        inner.send(b"c CAPABILITY\r\n")
        lines = [await inner.line()]
        while not lines[-1].startswith(b"c "):
            lines.append(await inner.line())
        assert lines[-1] == b"c OK That is all"
        assert b"STARTTLS" not in lines[-2]
        assert b"AUTH=PLAIN" in lines[-2]
        assert not any(b"INJECTED" in line for line in lines)
        inner.reader.feed_eof()
        await client.serving

    asyncio.run(scene())


def test_a_password_for_reading_is_refused_whatever_is_not_known_to_read() -> None:
    changing = set(VERBS) - READING - {b"LOGIN", b"AUTHENTICATE", b"STARTTLS"}
    assert changing == {
        *(b"APPEND", b"COPY", b"CREATE", b"DELETE", b"EXPUNGE", b"MOVE", b"RENAME", b"REPLACE"),
        *(b"STORE", b"SUBSCRIBE", b"UNSUBSCRIBE", b"SETACL", b"DELETEACL", b"SETMETADATA"),
        *(b"UID COPY", b"UID EXPUNGE", b"UID MOVE", b"UID REPLACE", b"UID STORE"),
    }
