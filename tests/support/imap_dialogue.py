"""Whole IMAP dialogues as transcripts, against the server without a network.

    play('''
        C: a1 NOOP
        S: a1 OK ...
    ''')

`C:` lines go to the server, each followed by CRLF; `S:` lines must come back exactly; a final "..."
stands for any rest of the line. `C2:` and `S2:` are a second client, and so on. A line that ends
with a space and a backslash goes on in the next; a C line that ends with "\\" gets no CRLF.
"""

import asyncio
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from epost.apps.mail.mailbox import AccountMail, NewMail
from epost.apps.mail.ports import in_the_loop
from epost.servers.access import Channel, StartTls
from epost.servers.imap.connection import ImapConnection
from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.site import ImapSite
from tests.support.access import ALICE, MAIL_CHANNEL, Access
from tests.support.line_client import LineClient
from tests.support.memory_mailstore import MemoryMail

_CONTINUED = re.compile(r"(?<= )\\\n +")

Start = Literal["connected", "logged in", "selected"]

MAIL = (
    b"From: Bob <bob@example.org>\r\n"
    b"To: alice@example.org\r\n"
    b"Subject: lunch\r\n"
    b"Date: Mon, 1 Jan 2024 12:00:00 +0100\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"\r\n"
    b"At noon?\r\n"
)


class WireClient(LineClient):
    """One client of the server, and the connection that serves it."""

    def __init__(
        self,
        site: ImapSite,
        channel: Channel = MAIL_CHANNEL,
        start_tls: StartTls | None = None,
    ) -> None:
        super().__init__(
            lambda reader, writer: ImapConnection(
                reader, writer, site=site, channel=channel, start_tls=start_tls
            )
        )

    async def command(self, text: str) -> list[str]:
        """Send a command tagged "t" and return all lines of its answer."""
        self.send(f"t {text}\r\n".encode())
        lines = []
        while not lines or not lines[-1].startswith("t "):
            lines.append((await self.line()).decode("latin-1"))
        return lines

    async def log_in(self, token: str) -> None:
        await self.line()
        (done,) = await self.command(f"LOGIN {ALICE} {token}")
        assert done.startswith("t OK")


@dataclass
class HouseClock:
    """Begins when MemoryMail's mails come, and goes when told to."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return int((1_700_000_000 + self.seconds) * 1000)


class ImapHouse:
    """A server with one account, and its clients."""

    def __init__(self, mail: Any = None, limits: ImapLimits | None = None) -> None:
        """`mail` is an AccountMail; without one it is a MemoryMail."""
        self.access = Access()
        self.clock = HouseClock()
        self.mail = mail or MemoryMail()
        self.site = ImapSite(
            authenticator=self.access.authenticator,
            open_mail=self._open_mail,
            clock=self.clock,
            offload=in_the_loop,
            product_version="1.0",
            limits=limits or ImapLimits(),
        )

    async def _open_mail(self, account: str) -> AccountMail:
        assert account == ALICE
        return self.mail

    def stranger(self, channel: Channel = MAIL_CHANNEL) -> WireClient:
        return WireClient(self.site, channel)

    async def member(self) -> WireClient:
        """A client that is logged in."""
        client = self.stranger()
        await client.log_in(self.access.token)
        return client


def play(
    script: str,
    *,
    mail: MemoryMail | None = None,
    limits: ImapLimits | None = None,
    start: Start = "selected",
    mails: Sequence[bytes] = (),
) -> MemoryMail:
    """Play a transcript, with `mails` in INBOX; returns the account's mail afterwards.

    `start` is the state in which every client begins; "selected" is with INBOX.
    """

    async def scene() -> MemoryMail:
        house = ImapHouse(mail, limits)
        for octets in mails:
            await put(house.mail, octets)
        clients: dict[str, WireClient] = {}
        for line in _CONTINUED.sub("", textwrap.dedent(script)).strip().splitlines():
            who, _, text = line.partition(":")
            name, text = who[1:], text.removeprefix(" ")
            if name not in clients:
                clients[name] = await _arrived(house, start)
            await _play_line(clients[name], who[0], text)
        for client in clients.values():
            await _settle()
            assert client.writer.lines.empty(), f"unexpected: {client.writer.lines.get_nowait()!r}"
            await client.hang_up()
        return house.mail

    return asyncio.run(scene())


async def _arrived(house: ImapHouse, start: Start) -> WireClient:
    if start == "connected":
        return house.stranger()
    client = await house.member()
    if start == "selected":
        assert (await client.command("SELECT INBOX"))[-1].startswith("t OK")
    return client


async def put(mail: MemoryMail, octets: bytes, *flags: str, folder: str = "INBOX") -> None:
    """Put a mail into a folder, as if it had just arrived."""
    await mail.folder(folder).append([NewMail(octets, frozenset(flags))])


def mail_about(subject: str, body: str = "Text.\r\n", sender: str = "bob@example.org") -> bytes:
    return (
        f"From: {sender}\r\nTo: alice@example.org\r\nSubject: {subject}\r\n"
        f"Date: Mon, 1 Jan 2024 12:00:00 +0100\r\n\r\n{body}"
    ).encode()


async def _play_line(client: WireClient, side: str, text: str) -> None:
    if side == "C":
        client.send(text[:-1].encode() if text.endswith("\\") else text.encode() + b"\r\n")
        return
    assert side == "S", f"a line of a transcript begins with C: or S:, not {side!r}"
    got = (await client.line()).decode("utf-8", "replace")
    if text.endswith("..."):
        assert got.startswith(text[:-3]), f"{got!r} is not {text!r}"
    else:
        assert got == text, f"{got!r} is not {text!r}"


async def _settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)
