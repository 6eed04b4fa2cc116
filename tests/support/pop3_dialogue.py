"""Whole POP3 dialogues as transcripts, against the server without a network.

The notation is that of `tests.support.imap_dialogue`.
"""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Sequence
from typing import Literal

from epost.servers.access import Channel, StartTls
from epost.servers.pop3.connection import Pop3Connection
from epost.servers.pop3.limits import Pop3Limits
from epost.servers.pop3.site import Pop3Site
from tests.support.access import ALICE, MAIL_CHANNEL, Access
from tests.support.imap_dialogue import put
from tests.support.line_client import LineClient
from tests.support.memory_mailstore import MemoryMail


class Pop3Client(LineClient):
    """One client of the server, and the connection that serves it."""

    def __init__(
        self,
        site: Pop3Site,
        channel: Channel = MAIL_CHANNEL,
        start_tls: StartTls | None = None,
    ) -> None:
        super().__init__(
            lambda reader, writer: Pop3Connection(
                reader, writer, site=site, channel=channel, start_tls=start_tls
            )
        )

    async def command(self, text: str) -> bytes:
        """Send a command; return the first line of its answer."""
        self.send(text.encode() + b"\r\n")
        return await self.line()

    async def body(self) -> list[bytes]:
        """Return the lines of an answer's body, with their dots undone."""
        lines: list[bytes] = []
        while (line := await self.line()) != b".":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return lines


class Pop3House:
    """A server with one account, and its clients."""

    def __init__(self, mail: MemoryMail | None = None, limits: Pop3Limits | None = None) -> None:
        self.access = Access()
        self.mail = mail or MemoryMail()
        self.site = Pop3Site(
            self.access.authenticator, self._open_mail, limits=limits or Pop3Limits()
        )

    async def _open_mail(self, account: str) -> MemoryMail:
        assert account == ALICE
        return self.mail

    def stranger(self, channel: Channel = MAIL_CHANNEL) -> Pop3Client:
        return Pop3Client(self.site, channel)

    async def member(self) -> Pop3Client:
        """A client that is logged in."""
        client = self.stranger()
        await client.line()
        assert (await client.command(f"USER {ALICE}")).startswith(b"+OK")
        assert (await client.command(f"PASS {self.access.token}")).startswith(b"+OK")
        return client


def play(
    script: str,
    *,
    mails: Sequence[bytes] = (),
    mail: MemoryMail | None = None,
    limits: Pop3Limits | None = None,
    start: Literal["connected", "logged in"] = "logged in",
) -> MemoryMail:
    """Play a transcript, with `mails` in INBOX; returns the account's mail afterwards.

    `TOKEN` in the script stands for alice's password.
    """

    async def scene() -> MemoryMail:
        house = Pop3House(mail, limits)
        for octets in mails:
            await put(house.mail, octets)
        client = await house.member() if start == "logged in" else house.stranger()
        for line in textwrap.dedent(script).strip().splitlines():
            side, _, text = line.partition(":")
            text = text.removeprefix(" ").replace("TOKEN", house.access.token)
            if side == "C":
                client.send(text.encode() + b"\r\n")
                continue
            got = (await client.line()).decode("utf-8", "replace")
            fits = got.startswith(text[:-3]) if text.endswith("...") else got == text
            assert fits, f"{got!r} is not {text!r}"
        for _ in range(20):
            await asyncio.sleep(0)
        assert client.writer.lines.empty(), f"unexpected: {client.writer.lines.get_nowait()!r}"
        await client.hang_up()
        return house.mail

    return asyncio.run(scene())
