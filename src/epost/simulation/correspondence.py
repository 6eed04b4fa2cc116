"""What the members of a simulated office do: write mails, look blocks up, and lie.

Everything goes through the node of the member, as from her mail program; what a crash interrupts
is not acknowledged. The forger is one machine that offers receipts which nobody signed.
"""

from __future__ import annotations

import asyncio
from base64 import encodebytes
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from epost.crypto.signing import SigningKey
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import EpostError, NoSuchBlock
from epost.foundation.ids import ID_BYTES, BlockKind, Handle, Id, NodeHandle
from epost.foundation.ports import VaultEntry
from epost.foundation.wire import Application
from epost.node.assembly import Node
from epost.past.messages import Put
from epost.past.observed import BlockStored
from epost.past.pending import (
    PENDING_MARK,
    Receipt,
    ReceiptStatus,
    receipt_handle,
    sign_receipt,
)
from epost.past.tickets import Ticketing
from epost.simulation.host import SimulatedHost
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.mails import Mail, MailsArrive
from epost.simulation.invariants.versions import NewestVersions
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office
from epost.simulation.world import Observed, SimulatedClock

LEASE_MS = 400 * DAY_MS


@dataclass(frozen=True, slots=True)
class CorrespondenceConfig:
    """How busy the members are; times in seconds, sizes in bytes."""

    mail_every_seconds: float = 120.0
    """Mean time between two mails of one user: 600 an hour from 20."""
    recipients_max: int = 3
    large_part: float = 0.15
    """Share of mails with an attachment, whose parts are stored."""
    text_size_max: int = 4000
    attachment_size_min: int = 20_000
    attachment_size_max: int = 200_000
    attachments: int = 20
    """So many different ones go round."""
    lookup_every_seconds: float = 1.0
    """Mean time between two look-ups of blocks in the whole office."""
    root_every_seconds: float = 0.3
    """Mean time between two messages to the root of some key: 12,000 an hour."""
    forgery_every_seconds: float = 30.0


class Writers:
    """Users who write to each other."""

    def __init__(
        self, office: Office, random: Random, config: CorrespondenceConfig, mails: MailsArrive
    ) -> None:
        self._office = office
        self._random = random
        self._config = config
        self._mails = mails
        self._attachments = [self._attachment() for _ in range(config.attachments)]
        self._submitting: dict[asyncio.Task[None], None] = {}
        self.written = 0
        self.acknowledged = 0
        self.ring_durable = 0
        self.refused = 0

    async def run(self) -> None:
        """Write for ever."""
        pause = self._config.mail_every_seconds / len(self._office.users)
        while True:
            await asyncio.sleep(self._random.expovariate(1 / pause))
            writer = self._random.choice(self._office.users)
            if writer.node is not None:
                task = asyncio.get_running_loop().create_task(self._submit(writer))
                self._submitting[task] = None
                task.add_done_callback(self._submitting.pop)

    async def finish(self) -> None:
        """Return when no mail is being submitted."""
        while self._submitting:
            await asyncio.gather(*self._submitting)

    async def _submit(self, writer: Machine) -> None:
        node = writer.node
        assert node is not None
        assert node.mail is not None
        assert writer.account is not None
        mail = self._compose(writer)
        self._mails.submitted(mail)
        name = writer.account.name
        try:
            async with asyncio.timeout(60.0):
                await node.ready()
                submitted = await node.mail.submission.submit(
                    name, name, mail.recipients, mail.octets
                )
        except (EpostError, OSError, TimeoutError, asyncio.CancelledError):
            self.refused += 1
            return
        if writer.node is node:  # else the process that said it is gone, and nobody heard it
            mail.is_acknowledged, mail.key = True, submitted.id
            mail.is_ring_durable = submitted.machines >= submitted.machines_wanted
            self.acknowledged += 1
            self.ring_durable += mail.is_ring_durable

    def _compose(self, writer: Machine) -> Mail:
        random, config = self._random, self._config
        self.written += 1
        accounts = [user.account for user in self._office.users if user.account is not None]
        names = list(dict.fromkeys(account.name for account in accounts))
        recipients = tuple(sorted(random.sample(names, random.randint(1, config.recipients_max))))
        assert writer.account is not None
        header = (
            f"From: {writer.account.name}\r\nTo: {', '.join(recipients)}\r\n"
            f"Subject: Letter {self.written}\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
            f"Message-ID: <{self.written}@{writer.name}>\r\nMIME-Version: 1.0\r\n"
        ).encode()
        text = _lines(random.randbytes(random.randint(1, config.text_size_max)))
        if random.random() < config.large_part:
            body = _multipart(text, random.choice(self._attachments))
        else:
            body = b"Content-Type: text/plain\r\n\r\n" + text
        return Mail(writer.account.name, recipients, header + body, writer.name)

    def _attachment(self) -> bytes:
        config = self._config
        size = self._random.randint(config.attachment_size_min, config.attachment_size_max)
        return _lines(self._random.randbytes(size))


def _lines(data: bytes) -> bytes:
    return encodebytes(data).replace(b"\n", b"\r\n")


def _multipart(text: bytes, attachment: bytes) -> bytes:
    return b"".join(
        (
            b'Content-Type: multipart/mixed; boundary="=_part"\r\n\r\n',
            b"--=_part\r\nContent-Type: text/plain\r\n\r\n",
            text,
            b"\r\n--=_part\r\nContent-Type: application/octet-stream\r\n",
            b"Content-Transfer-Encoding: base64\r\n",
            b'Content-Disposition: attachment; filename="a.bin"\r\n\r\n',
            attachment,
            b"\r\n--=_part--\r\n",
        )
    )


class Readers:
    """Members who look up blocks, wherever these are."""

    def __init__(
        self,
        office: Office,
        random: Random,
        config: CorrespondenceConfig,
        *,
        blocks: AcknowledgedBlocks,
        versions: NewestVersions,
        findings: Findings,
        is_whole: Callable[[], bool] = lambda: True,
    ) -> None:
        """While the ring is not whole, one part of it cannot know what there is in another."""
        self._office = office
        self._random = random
        self._config = config
        self._blocks = blocks
        self._versions = versions
        self._findings = findings
        self._is_whole = is_whole
        self._reading: dict[asyncio.Task[None], None] = {}
        self._known: dict[BlockKind, list[Handle]] = {BlockKind.KEY: [], BlockKind.CONTENT: []}
        self._listed = 0
        self.lookups = 0
        self.failed = 0

    async def run(self) -> None:
        """Look up for ever, public-key blocks and content blocks in turn."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._config.lookup_every_seconds))
            handles = self._handles()
            running = self._office.running
            if handles and running:
                handle, reader = self._random.choice(handles), self._random.choice(running)
                task = loop.create_task(self._read(reader, handle))
                self._reading[task] = None
                task.add_done_callback(self._reading.pop)

    def _handles(self) -> Sequence[Handle]:
        durable = self._blocks.ring_durable
        for handle in list(durable)[self._listed :]:
            if handle.kind in self._known:
                self._known[handle.kind].append(handle)
        self._listed = len(durable)
        return self._known[self._random.choice((BlockKind.KEY, BlockKind.CONTENT))]

    async def _read(self, reader: Machine, handle: Handle) -> None:
        if handle.kind is BlockKind.KEY:
            await self._versions.read(reader, handle)
            return
        node = reader.node
        assert node is not None
        self.lookups += 1
        was_whole = self._is_whole()
        try:
            await node.blocks.lookup(handle, mirror=False)
        except NoSuchBlock:
            if was_whole and self._is_whole():
                text = f"{reader.name} is told that there is no {handle}"
                self._findings.violated(Invariant.BLOCKS_STAY, text)
        except (EpostError, OSError):
            self.failed += 1


class Askers:
    """Members who send to the root of some key, wherever that is: the plain look-up of Pastry."""

    def __init__(self, office: Office, random: Random, config: CorrespondenceConfig) -> None:
        self._office = office
        self._random = random
        self._config = config
        self.asked = 0

    async def run(self) -> None:
        """Ask for ever; who delivers it, and whether rightly, is for the invariant to see."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._config.root_every_seconds))
            node = self._random.choice(self._office.running).node
            assert node is not None
            self.asked += 1
            # The authority's machine takes what is routed to it, and does nothing with it.
            node.overlay.route(Id(self._random.randbytes(ID_BYTES)), Application.RINGS, b"")
            node.driver.wake()


class Forger:
    """Offers the delegates of notices receipts that are not the recipient's.

    Some are signed by nobody, some by another member; never by the recipient, whose word it is.
    """

    def __init__(self, office: Office, random: Random, config: CorrespondenceConfig) -> None:
        self._office = office
        self._random = random
        self._config = config
        self._clock = SimulatedClock()
        self._held: deque[tuple[SimulatedHost, Handle]] = deque(maxlen=20)
        self.tried = 0
        office.world.trace.listen(self._on_event)

    def _on_event(self, observed: Observed) -> None:
        event = observed.event
        if isinstance(event, BlockStored) and event.handle.kind is BlockKind.PENDING:
            self._held.append((self._office.world.hosts[observed.node], event.handle))

    async def run(self) -> None:
        """Forge for ever."""
        while True:
            pause = self._config.forgery_every_seconds
            await asyncio.sleep(self._random.expovariate(1 / pause))
            forger, kept = self._office.machines[-1], self._kept()
            if forger.node is not None and kept:
                delegate, notice = self._random.choice(kept)
                self.tried += 1
                with suppress(EpostError, OSError):
                    await self._forge(forger, forger.node, delegate, notice)

    def _kept(self) -> Sequence[tuple[NodeHandle, VaultEntry]]:
        """Return the notices that still wait, and with whom."""
        entries = [(host.me, host.vault.entry(pending)) for host, pending in self._held]
        return [(delegate, entry) for delegate, entry in entries if entry is not None]

    async def _forge(
        self, forger: Machine, node: Node, delegate: NodeHandle, notice: VaultEntry
    ) -> None:
        now_ms = self._clock.wall_ms()
        forged = self._receipt(notice, now_ms)
        handle = receipt_handle(notice.handle.digest)
        member = forger.membership
        ticketing = Ticketing(member.node_key, member.node_certificate, member.me.ring)
        voucher = ticketing.voucher(
            [(handle, len(forged))], now_ms=now_ms, lease_until=now_ms + LEASE_MS
        )
        await node.driver.calls.call(
            delegate,
            Application.PAST,
            encode(Put(handle, forged, b"", voucher)),
            timeout_seconds=2.0,
        )

    def _receipt(self, notice: VaultEntry, now_ms: int) -> bytes:
        recipient = PENDING_MARK.decode(notice.proof).to_account
        pending = notice.handle.digest
        return forged_receipt(self._office, self._random, pending, recipient, now_ms)


def forged_receipt(
    office: Office, random: Random, pending: bytes, recipient: bytes, now_ms: int
) -> bytes:
    """Return a receipt for a notice that its recipient has not signed: a thief has, or nobody."""
    accounts = [user.account for user in office.users if user.account is not None]
    others = [account for account in accounts if account.secrets.account_id != recipient]
    thief = random.choice(others)
    secrets = thief.secrets
    key = SigningKey(secrets.signing_seed if random.random() < 0.5 else bytes(32))
    status = ReceiptStatus.ACCEPTED
    receipt = Receipt(1, pending, secrets.account_id, secrets.number, status, now_ms)
    return sign_receipt(key, receipt, thief.certificate, secrets.certificate)
