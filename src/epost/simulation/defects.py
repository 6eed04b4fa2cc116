"""Deliberate defects, to show that the checkers find what they are for (`--break`).

Each is a twin of a port, or a subclass of a part, that does one thing wrong; the product itself has
no switches for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from epost.apps.mail.folders.folder_rows import FolderRows
from epost.apps.mail.folders.writing import MailWriter
from epost.apps.mail.mailbox import CopyOutcome
from epost.apps.mail.service import MailService
from epost.crypto.certificates import DeviceCert
from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Observer, PutBlock, Role, Vault, Write
from epost.foundation.wire import Application
from epost.node.assembly import Node
from epost.node.joints import PendingUpcalls
from epost.node.settings import NodeConfigs, UserOfNode
from epost.past.blocks import handle_of
from epost.past.client import BlockStore, Conflict, Insertion
from epost.past.durability import Durability
from epost.past.messages import REQUEST, Accepted, Put
from epost.past.pins import NOTES as PIN_NOTES
from epost.past.reading import Answered, Reading
from epost.past.replica import TICK, Replica
from epost.past.surroundings import Surroundings
from epost.post.accounts.devices import Device
from epost.post.assembly import Layers, Post
from epost.post.notification.outbox import OpenMessage, Outbox
from epost.post.ports import NodePorts
from epost.simulation.invariants.violations import Invariant
from epost.simulation.vault import DiskConfig, SimulatedDisk, SimulatedVault

HELD_FOR_OTHERS = Role.REPLICA | Role.STAND_IN


@dataclass(frozen=True)
class Defect:
    """One way to be wrong, and the invariant that must notice."""

    name: str
    breaks: Invariant | None
    text: str
    vault: Callable[[SimulatedDisk, Observer], SimulatedVault] = SimulatedVault
    disk: DiskConfig = field(default_factory=DiskConfig)
    node: type[Node] = Node


class _ForgetfulVault(SimulatedVault):
    """Says that it keeps the content blocks of others, and does not."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([write for write in writes if not _is_for_others(write)])


def _is_for_others(write: Write) -> bool:
    return (
        isinstance(write, PutBlock)
        and write.entry.handle.kind is BlockKind.CONTENT
        and not write.entry.roles & ~HELD_FOR_OTHERS
    )


class ObstinateVault(SimulatedVault):
    """Keeps the first version of every public-key block of others that it was given."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([write for write in writes if not self._is_update(write)])

    def _is_update(self, write: Write) -> bool:
        return (
            isinstance(write, PutBlock)
            and write.entry.handle.kind is BlockKind.KEY
            and not write.entry.roles & ~HELD_FOR_OTHERS
            and self.entry(write.entry.handle) is not None
        )


class _GarblingVault(SimulatedVault):
    """Writes another body than the replica accepted, for every tenth content block of others."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([_garbled(write) for write in writes])


def _garbled(write: Write) -> Write:
    if not _is_for_others(write) or not isinstance(write, PutBlock):
        return write
    is_hit = write.entry.handle.digest[-1] % 10 == 0
    return replace(write, body=bytes(write.entry.size)) if is_hit else write


class _RollingBackVault(SimulatedVault):
    """Writes the first version that it was given over every newer one of a public-key block."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([self._first_of(write) for write in writes])

    def _first_of(self, write: Write) -> Write:
        if not isinstance(write, PutBlock) or write.entry.handle.kind is not BlockKind.KEY:
            return write
        first = self._firsts.setdefault(write.entry.handle, write)
        return first if write.entry.version > first.entry.version + 1 else write

    @cached_property
    def _firsts(self) -> dict[Handle, PutBlock]:
        return {}


class _LazyReplica(Replica):
    """Compares with nobody: it answers, but asks for nothing."""

    def on_timer(self, name: str, now: float) -> None:
        if name == TICK:
            self.membership.refresh(now)
            self._outbox.set_timer(Application.PAST, TICK, self._around.config.tick_seconds)
        else:
            super().on_timer(name, now)


class _LazyNode(Node):
    def _make_replica(self, around: Surroundings, upcalls: PendingUpcalls) -> Replica:
        return _LazyReplica(around, delegation=upcalls, is_clock_sound=self.clock_check.is_sound)


class _CredulousReplica(Replica):
    """Believes every receipt, signed or not."""

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        request = REQUEST.decode(body)
        if not isinstance(request, Put) or request.handle.kind is not BlockKind.RECEIPT:
            super().on_request(caller, body, now)
            return
        pending = self._around.vault.entry(Handle(BlockKind.PENDING, request.handle.digest))
        if pending is not None:
            self.shelf.drop_pending(pending)
        self._outbox.reply_when_durable(caller, encode(Accepted(b"")))


class _CredulousNode(Node):
    def _make_replica(self, around: Surroundings, upcalls: PendingUpcalls) -> Replica:
        return _CredulousReplica(
            around, delegation=upcalls, is_clock_sound=self.clock_check.is_sound
        )


class _SilentUpcalls:
    """Hears of the notices kept here, and never tells their recipients."""

    def __init__(self, upcalls: PendingUpcalls) -> None:
        self._upcalls = upcalls

    def on_pending_held(self, handle: Handle, envelope: bytes) -> None:
        """Do nothing about it."""

    def on_pending_gone(self, handle: Handle) -> None:
        """Nothing was done about it."""

    def is_device_revoked(self, device: DeviceCert) -> bool:
        """Answer as it should."""
        return self._upcalls.is_device_revoked(device)


class SilentNode(Node):
    """A delegate that keeps notices to itself."""

    def _make_replica(self, around: Surroundings, upcalls: PendingUpcalls) -> Replica:
        silent = _SilentUpcalls(upcalls)
        return Replica(around, delegation=silent, is_clock_sound=self.clock_check.is_sound)


class _HeedlessBlocks:
    """Takes the own copy of a block for the ring's, and a conflict for a success."""

    def __init__(self, blocks: BlockStore, vault: Vault) -> None:
        self._blocks = blocks
        self._vault = vault
        self.hold = blocks.hold
        self.extend = blocks.extend
        self.lookup = blocks.lookup
        self.lookup_copies = blocks.lookup_copies
        self.lookup_cluster = blocks.lookup_cluster

    async def insert(
        self, kind: BlockKind, block: bytes, *, mirror: bool = True, only_with_room: bool = False
    ) -> Insertion:
        """Insert, and let nobody know that somebody else has written this version."""
        try:
            return await self._blocks.insert(
                kind, block, mirror=mirror, only_with_room=only_with_room
            )
        except Conflict:
            durability = Durability(1, 1, ring_durable=True)
            return Insertion(handle_of(kind, block), durability)

    async def lookup_latest(self, handle: Handle) -> Reading:
        """Return the own copy, if this is one's own."""
        entry = self._vault.entry(handle)
        body = None
        if entry is not None and entry.roles & Role.MIRROR:
            body = await self._vault.load(handle)
        if body is None:
            return await self._blocks.lookup_latest(handle)
        return Reading(body, Answered.ALL, True)


class _HeedlessNode(Node):
    def _layers(self) -> Layers:
        layers = super()._layers()
        return replace(layers, blocks=_HeedlessBlocks(self.blocks, self.vault))


class _PinlessVault(SimulatedVault):
    """Does not give back which versions were seen before the start."""

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        return () if table == PIN_NOTES else super().notes(table)


class _NegligentOutbox(Outbox):
    """Offers everything once."""

    def message(self, message_key: bytes) -> OpenMessage | None:
        return None


class _NegligentNode(Node):
    def _make_post(
        self, user: UserOfNode, layers: Layers, ports: NodePorts, configs: NodeConfigs
    ) -> Post:
        post = super()._make_post(user, layers, ports, configs)
        device = Device(
            user.secrets, account_certificate=user.account_certificate, sealing=ports.sealing
        )
        post.ledger.outbox = _NegligentOutbox(device, ports)
        return post


class _CopyingWriter(MailWriter):
    """Moves mails by a copy, and leaves them where they were."""

    async def move(self, rows: FolderRows, uids: Sequence[int], target: str) -> CopyOutcome:
        return await self.copy(rows, uids, target)


class _CopyingMail(MailService):
    writer_type = _CopyingWriter


class _CopyingNode(Node):
    def _make_mail(self, user: UserOfNode, post: Post) -> MailService:
        services = self._mail_services(user, post)
        return _CopyingMail(
            services, user.open_index(), offload=user.offload, read_file=user.read_file
        )


SOUND = Defect("", None, "nothing is broken on purpose")

DEFECTS = (
    Defect(
        "drop-replica",
        Invariant.BLOCKS_STAY,
        "replicas acknowledge content blocks and do not store them",
        vault=_ForgetfulVault,
    ),
    Defect(
        "accept-old-version",
        Invariant.NEWEST_WINS,
        "replicas acknowledge new versions of public-key blocks and keep the old ones",
        vault=ObstinateVault,
    ),
    Defect(
        "skip-disk-sync",
        Invariant.DURABLE_FIRST,
        "disks say that a commit is durable before it is",
        disk=DiskConfig(skips_sync=True),
    ),
    Defect(
        "forge-receipt",
        Invariant.NOTICES_WAIT,
        "delegates drop a notice for a receipt that nobody signed",
        node=_CredulousNode,
    ),
    Defect(
        "garble-blocks",
        Invariant.ONLY_AUTHENTIC,
        "replicas keep content blocks that are not what they accepted",
        vault=_GarblingVault,
    ),
    Defect(
        "roll-back",
        Invariant.NEVER_BACK,
        "replicas write a former version of a public-key block over a newer one",
        vault=_RollingBackVault,
    ),
    Defect(
        "no-repair",
        Invariant.SETS_COMPLETE,
        "replicas never look for what they lack",
        node=_LazyNode,
    ),
    Defect(
        "silent-delegates",
        Invariant.DELEGATES_DELIVER,
        "delegates keep notices and never tell their recipients",
        node=SilentNode,
    ),
    Defect(
        "sign-unconfirmed",
        Invariant.DEVICES_AGREE,
        "a device signs its log's next head without a look at the ring's",
        node=_HeedlessNode,
    ),
    Defect(
        "forget-versions",
        Invariant.NEWEST_WINS,
        "a node that starts knows no more which versions it has seen",
        vault=_PinlessVault,
    ),
    Defect(
        "offer-once",
        Invariant.MAILS_ARRIVE,
        "a sender never offers a notice again that delegates keep, or that nobody took",
        node=_NegligentNode,
    ),
    Defect(
        "move-by-copy",
        Invariant.MAILS_ARRIVE,
        "a mail that is moved stays where it was as well",
        node=_CopyingNode,
    ),
)


def defect_named(name: str | None) -> Defect:
    """Return a defect; raises KeyError."""
    return SOUND if not name else {defect.name: defect for defect in DEFECTS}[name]
