"""A submission listener on loopback with an application in memory, and clients for it."""

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from epost.apps.mail.delivery.submission import (
    ORDINARY,
    RecipientVerdict,
    Renamed,
    Submitted,
    Terms,
)
from epost.apps.mail.mailbox import Durability
from epost.foundation.errors import EpostError, NotPermitted, TooFewReplicas
from epost.foundation.octets import Octets
from epost.foundation.spool import IN_MEMORY, Spool
from epost.servers.access import EveryPeer, PeerCheck
from epost.servers.smtp.config import PlaintextLogin, SmtpConfig
from epost.servers.smtp.listener import SubmissionListener
from epost.servers.smtp.services import SubmissionServices, TlsOffer
from tests.support.access import ALICE, Access


@dataclass
class Mail:
    account: str
    sender: str
    recipients: tuple[str, ...]
    octets: Octets
    terms: Terms = ORDINARY


DURABLE = Submitted(Durability.RING_DURABLE, 3, 3, "4f2a")


@dataclass
class MemorySubmitter:
    """Knows bob and carol, and keeps what is submitted."""

    mails: list[Mail] = field(default_factory=list)
    error: BaseException | None = None
    answer: Submitted = DURABLE
    may_go_on: asyncio.Event | None = None
    begun: asyncio.Event | None = None

    async def check_sender(self, account: str, address: str) -> None:
        if address.startswith("error"):
            raise TooFewReplicas("cannot tell")
        if address not in (account, ""):
            raise NotPermitted(f"{account} does not send as {address}")

    async def check_recipient(self, account: str, address: str) -> RecipientVerdict | Renamed:
        if isinstance(self.error, EpostError) and address.startswith("error"):
            raise self.error
        if address.startswith(("bob", "carol", "jürgen")):
            return RecipientVerdict.KNOWN
        if address.startswith("robert"):
            return Renamed("bob@example.org")
        if address.startswith("later"):
            return RecipientVerdict.UNRESOLVED
        if address.endswith("@elsewhere.example"):
            return RecipientVerdict.OTHER_DOMAIN
        return RecipientVerdict.UNKNOWN

    async def submit(
        self, account: str, sender: str, recipients: Sequence[str], octets: Octets, terms: Terms
    ) -> Submitted:
        if self.begun and self.may_go_on:
            self.begun.set()
            await self.may_go_on.wait()
        if self.error is not None:
            raise self.error
        self.mails.append(Mail(account, sender, tuple(recipients), octets, terms))
        return self.answer


WALL_MS = 1_700_000_000_000
PLAIN = SmtpConfig(host_name="mail.test", plaintext_login=PlaintextLogin.PASSWORDS)


@dataclass
class Server:
    """A running listener."""

    port: int
    listener: SubmissionListener
    submitter: MemorySubmitter
    access: Access

    async def client(self, use: Callable[[smtplib.SMTP], None], *, login: bool = True) -> None:
        """Run a blocking conversation of smtplib beside the loop."""

        def talk() -> None:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
                if login:
                    client.login(ALICE, self.access.token)
                use(client)

        await asyncio.to_thread(talk)

    async def send(self, *pieces: bytes) -> bytes:
        """Send octets over a raw connection, end it, and return everything that came back."""
        async with self.connection() as (reader, writer):
            with contextlib.suppress(OSError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                writer.write_eof()
            return await read_all(reader)

    @contextlib.asynccontextmanager
    async def connection(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a raw connection and close it in the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)  # noqa: TID251
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Read until the server hangs up, in whichever way."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            received += piece
    return received


@contextlib.asynccontextmanager
async def running(
    config: SmtpConfig = PLAIN,
    *,
    peer_check: PeerCheck | None = None,
    starttls: ssl.SSLContext | None = None,
    implicit_tls: ssl.SSLContext | None = None,
    end_point: bytes | None = None,
    submitter: MemorySubmitter | None = None,
    spool: Spool = IN_MEMORY,
) -> AsyncIterator[Server]:
    """Run a submission listener on a free port."""
    access = Access()
    context = starttls or implicit_tls
    services = SubmissionServices(
        config=replace(config),
        authenticator=access.authenticator,
        submitter=submitter or MemorySubmitter(),
        peer_check=peer_check or EveryPeer(),
        wall_ms=lambda: WALL_MS,
        tls=TlsOffer(context, end_point) if context else None,
        starttls=starttls is not None,
        spool=spool,
    )
    listener = SubmissionListener(services)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(listener, "127.0.0.1", 0, ssl=implicit_tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Server(port, listener, services.submitter, access)  # type: ignore[arg-type]
    finally:
        server.close()
        await listener.close()
