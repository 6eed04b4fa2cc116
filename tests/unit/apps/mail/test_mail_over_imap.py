"""The IMAP server in front of the real mail store: what a mail program sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from epost.apps.mail.ports import in_the_loop
from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.site import ImapSite
from tests.support.access import Access
from tests.support.imap_dialogue import WireClient
from tests.support.mail import ALICE, BOB, Member, StillClock, living, organisation, simple_mail

Scene = Callable[[Member, Member, Callable[[], Awaitable[WireClient]]], Awaitable[None]]
MAIL = simple_mail().decode()


def play(scene: Scene) -> None:
    """Run a scene with Alice, Bob, and mail programs of Bob that have INBOX selected."""

    async def story() -> None:
        alice, bob = organisation(ALICE, BOB)
        access = Access()

        async def open_mail(_account: str) -> object:
            return bob.mail.mailbox

        site = ImapSite(
            authenticator=access.authenticator,
            clock=StillClock(),
            offload=in_the_loop,
            open_mail=open_mail,  # type: ignore[arg-type]
            product_version="1.0",
            limits=ImapLimits(),
        )
        clients: list[WireClient] = []

        async def program() -> WireClient:
            client = WireClient(site)
            clients.append(client)
            await client.log_in(access.token)
            assert (await client.command("SELECT INBOX"))[-1].startswith("t OK")
            return client

        async with living(alice, bob):
            await scene(alice, bob, program)
            for client in clients:
                await client.hang_up()

    asyncio.run(story())


async def append(client: WireClient, octets: str, folder: str = "INBOX") -> str:
    client.send(f"t APPEND {folder} {{{len(octets)}+}}\r\n{octets}\r\n".encode())
    while not (line := (await client.line()).decode()).startswith("t "):
        pass
    return line


def test_a_mail_that_arrives_is_announced_and_read() -> None:
    async def scene(alice: Member, _: Member, program: Callable[[], Awaitable[WireClient]]) -> None:
        client = await program()
        client.send(b"i IDLE\r\n")
        assert (await client.line()).startswith(b"+")
        await alice.submit(simple_mail(), "bob@example.org")
        assert await client.line() == b"* 1 EXISTS"
        assert await client.line() == b"* 1 RECENT"
        client.send(b"DONE\r\n")
        assert (await client.line()).startswith(b"i OK")
        lines = await client.command("FETCH 1 (FLAGS RFC822.SIZE BODY.PEEK[])")
        assert f"RFC822.SIZE {len(MAIL)}" in lines[0]
        assert "At noon?" in lines
        lines = await client.command("FETCH 1 ENVELOPE")
        assert '"lunch"' in lines[0]

    play(scene)


def test_changes_of_one_program_reach_the_other() -> None:
    async def scene(_: Member, __: Member, program: Callable[[], Awaitable[WireClient]]) -> None:
        first, second = await program(), await program()
        assert "[APPENDUID " in await append(first, MAIL)
        await append(first, MAIL.replace("lunch", "dinner"))
        assert "* 2 EXISTS" in await second.command("NOOP")
        await first.command("STORE 1 +FLAGS (\\Deleted $Work)")
        lines = await second.command("NOOP")
        assert any("FETCH" in line and "$Work" in line for line in lines)
        assert (await first.command("EXPUNGE"))[0] == "* 1 EXPUNGE"
        assert (await second.command("NOOP"))[0] == "* 1 EXPUNGE"
        assert (await second.command("SEARCH SUBJECT dinner"))[0] == "* SEARCH 1"

    play(scene)


def test_copy_move_and_status_agree() -> None:
    async def scene(_: Member, __: Member, program: Callable[[], Awaitable[WireClient]]) -> None:
        client = await program()
        for number in range(4):
            await append(client, MAIL.replace("lunch", f"number {number}"))
        assert "COPYUID" in (await client.command("COPY 1:2 Archive"))[-1]
        lines = await client.command("MOVE 3 Trash")
        assert any("COPYUID" in line for line in lines)
        assert "* 3 EXPUNGE" in lines
        status = await client.command("STATUS Archive (MESSAGES UIDNEXT UNSEEN)")
        assert "MESSAGES 2" in status[0]
        assert "UIDNEXT 3" in status[0]
        await client.command("SELECT Trash")
        assert '"number 2"' in (await client.command("FETCH 1 ENVELOPE"))[0]

    play(scene)


def test_a_program_that_was_away_learns_what_changed() -> None:
    async def scene(_: Member, __: Member, program: Callable[[], Awaitable[WireClient]]) -> None:
        client = await program()
        for _number in range(5):
            await append(client, MAIL)
        status = (await client.command("STATUS INBOX (HIGHESTMODSEQ)"))[-2]
        modseq = status.rstrip(")").split()[-1]
        other = await program()
        await other.command("STORE 2 +FLAGS (\\Seen)")
        await other.command("STORE 4 +FLAGS (\\Deleted)")
        await other.command("EXPUNGE")
        again = await program()
        lines = await again.command(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})")
        (changed,) = [line for line in lines if "FETCH" in line and line.startswith("*")]
        assert "UID 2" in changed
        assert "\\Seen" in changed

    play(scene)


def test_folders_are_made_and_renamed() -> None:
    async def scene(_: Member, __: Member, program: Callable[[], Awaitable[WireClient]]) -> None:
        client = await program()
        assert (await client.command('CREATE "Work/2024"'))[-1].startswith("t OK")
        assert (await client.command('RENAME "Work/2024" "Labour/2024"'))[-1].startswith("t OK")
        lines = await client.command('LIST "" "*"')
        assert any('"Labour/2024"' in line or " Labour/2024" in line for line in lines)
        assert any("\\Drafts" in line for line in lines)
        assert (await client.command("DELETE INBOX"))[-1].startswith("t NO")

    play(scene)


def test_a_draft_is_replaced_in_one_step() -> None:
    async def scene(_: Member, __: Member, program: Callable[[], Awaitable[WireClient]]) -> None:
        client = await program()
        await append(client, MAIL)
        await append(client, MAIL)
        await client.command("SELECT INBOX")
        lines = await client.command(f"UID REPLACE 1 INBOX {{{len(MAIL)}+}}\r\n{MAIL}")
        assert lines[0].endswith("Kept")
        assert "APPENDUID" in lines[0]
        assert "* 1 EXPUNGE" in lines
        uids = [line for line in await client.command("UID SEARCH ALL") if "SEARCH" in line]
        assert uids[0] == "* SEARCH 2 3"

    play(scene)


def test_a_program_resyncs_after_it_was_away() -> None:
    async def scene(_: Member, __: Member, program: Callable[[], Awaitable[WireClient]]) -> None:
        client = await program()
        for _number in range(4):
            await append(client, MAIL)
        await client.command("ENABLE QRESYNC")
        opened = "\n".join(await client.command("SELECT INBOX"))
        validity = opened.split("UIDVALIDITY ")[1].split("]")[0]
        modseq = opened.split("HIGHESTMODSEQ ")[1].split("]")[0]
        await client.command("UNSELECT")
        other = await program()
        await other.command("SELECT INBOX")
        await other.command("STORE 2 +FLAGS (\\Seen)")
        await other.command("STORE 4 +FLAGS (\\Deleted)")
        await other.command("EXPUNGE")
        lines = await client.command(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
        assert "* VANISHED (EARLIER) 4" in lines
        changed = [line for line in lines if " FETCH (" in line]
        assert len(changed) == 1
        assert changed[0].startswith("* 2 FETCH (UID 2 FLAGS (")

    play(scene)
