"""An organisation of a few daemons in this process, with real mail programs' libraries."""

import asyncio
import imaplib
import smtplib
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import system_world
from epost.daemon.config import MailSection, NodeConfig
from epost.daemon.control import ask
from epost.daemon.demo.state import free_ports
from epost.daemon.folder import NodeFolder
from epost.daemon.joining.membership import found_organisation, join_organisation
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.process import Daemon

POLL_SECONDS = 0.05


class Organisation:
    """One founder and whoever joins, as daemons of this process."""

    def __init__(self, path: Path, stack: AsyncExitStack) -> None:
        self.path = path
        self.stack = stack
        self.ports = iter(free_ports(24))
        self.authority_dir = path / "authority"
        self.passwords: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.daemons: dict[str, Daemon] = {}
        self._stacks: dict[str, AsyncExitStack] = {}

    async def found(self) -> None:
        ring, enrol = next(self.ports), next(self.ports)
        joined = await found_organisation(
            "example.org",
            "alice",
            NewMachine(self.path / "alice", f"127.0.0.1:{ring}"),
            self.authority_dir,
            enrol_listen=f"127.0.0.1:{enrol}",
        )
        assert len(joined.recovery_words.split()) == 24
        self.passwords["alice"], self.words["alice"] = joined.password, joined.recovery_words
        self.set_mail_ports("alice")
        await self.start("alice")

    def set_mail_ports(self, name: str) -> None:
        folder = NodeFolder(self.path / name)
        config = folder.read_config()
        mail = MailSection(
            smtp=f"127.0.0.1:{next(self.ports)}", imap=f"127.0.0.1:{next(self.ports)}"
        )
        folder.write_config(NodeConfig(ring=config.ring, authority=config.authority, mail=mail))

    async def join(self, name: str, invitation: str) -> None:
        machine = NewMachine(self.path / name, f"127.0.0.1:{next(self.ports)}")
        joined = await join_organisation(invitation, machine)
        self.passwords[name] = joined.password
        self.words[name] = joined.recovery_words
        self.set_mail_ports(name)
        await self.start(name)

    def invite(self, name: str | None) -> str:
        with Authority.open(self.authority_dir, system_world()) as authority:
            return authority.invite(f"{name}@example.org" if name else None)

    async def start(self, name: str) -> None:
        folder = NodeFolder(self.path / name)
        stack = self._stacks[name] = await self.stack.enter_async_context(AsyncExitStack())
        daemon = Daemon(folder, folder.read_config(), stack)
        await daemon.start()
        self.daemons[name] = daemon

    async def stop(self, name: str) -> None:
        del self.daemons[name]
        await self._stacks.pop(name).aclose()

    async def ask(self, name: str, command: str, **arguments: Any) -> dict[str, Any]:
        return await asyncio.to_thread(ask, self.path / name, command, **arguments)

    async def until(self, name: str, condition: Callable[[dict[str, Any]], bool]) -> None:
        while not condition(await self.ask(name, "status")):
            await asyncio.sleep(POLL_SECONDS)

    def submit(
        self, sender: str, recipient: str, octets: bytes, options: Sequence[str] = ()
    ) -> str:
        mail = NodeFolder(self.path / sender).read_config().mail
        host, _, port = mail.smtp.partition(":")
        with smtplib.SMTP(host, int(port), timeout=30) as client:
            client.login(f"{sender}@example.org", self.passwords[sender])
            client.ehlo_or_helo_if_needed()
            client.mail(f"{sender}@example.org", options)
            client.rcpt(f"{recipient}@example.org")
            code, text = client.data(octets)
            assert code == 250, text
            return text.decode()

    def read(self, name: str, message_id: str, user: str | None = None) -> bytes:
        """Wait for a mail at the machine `name`, which is `user`'s if it is not named after her."""
        mail = NodeFolder(self.path / name).read_config().mail
        host, _, port = mail.imap.partition(":")
        with imaplib.IMAP4(host, int(port), timeout=30) as client:
            client.login(user or name, self.passwords[name])
            while True:
                client.select()
                found = client.uid("SEARCH", "HEADER", "Message-ID", message_id)[1][0].split()
                if found:
                    return client.uid("FETCH", found[0].decode(), "(BODY.PEEK[])")[1][0][1]
                time.sleep(POLL_SECONDS)


def organisation(path: Path, story: Callable[[Organisation], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(100), AsyncExitStack() as stack:
            org = Organisation(path, stack)
            await org.found()
            await story(org)

    asyncio.run(run())
