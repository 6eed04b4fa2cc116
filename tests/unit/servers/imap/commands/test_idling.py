"""IDLE."""

import asyncio

from epost.apps.mail.mailbox import FlagChange
from tests.support.imap_dialogue import MAIL, ImapHouse, play, put


def test_an_idle_client_hears_of_everything_at_once() -> None:
    async def scene() -> None:
        house = ImapHouse()
        inbox = house.mail.folder("INBOX")
        client = await house.member()
        await client.command("SELECT INBOX")
        client.send(b"a IDLE\r\n")
        assert await client.line() == b"+ idling"
        await put(house.mail, MAIL)
        assert [await client.line(), await client.line()] == [b"* 1 EXISTS", b"* 1 RECENT"]
        await inbox.change_flags([1], FlagChange.ADD, frozenset({"\\Deleted"}))
        assert await client.line() == rb"* 1 FETCH (UID 1 FLAGS (\Deleted \Recent))"
        await inbox.expunge(None)
        assert await client.line() == b"* 1 EXPUNGE"
        client.send(b"done\r\n")
        assert await client.line() == b"a OK Idled"
        await client.hang_up()

    asyncio.run(scene())


def test_idle_works_without_a_folder_and_ends_only_with_done() -> None:
    play(
        """
        C: a IDLE
        S: + idling
        C: DONE
        S: a OK Idled
        C: b IDLE
        S: + idling
        C: c NOOP
        S: b BAD DONE expected
        """,
        start="logged in",
    )


def test_idle_ends_when_the_folder_is_deleted() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await house.member()
        await client.command("CREATE Box")
        await client.command("SELECT Box")
        client.send(b"a IDLE\r\n")
        await client.line()
        await house.mail.delete("Box")
        assert await client.line() == b"a OK Idled"
        assert await client.line() == b"* BYE The selected folder was deleted"
        await client.serving
        assert client.writer.is_closed

    asyncio.run(scene())


def test_a_client_that_hangs_up_while_idle_is_let_go() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await house.member()
        client.send(b"a IDLE\r\n")
        await client.line()
        await client.hang_up()
        assert client.writer.is_closed

    asyncio.run(scene())
