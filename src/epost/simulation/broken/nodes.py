"""Nodes of which one part does one thing wrong each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from epost.apps.mail.delivery.inbox import MailInbox
from epost.apps.mail.folders.folder_rows import FolderRows
from epost.apps.mail.folders.writing import MailWriter
from epost.apps.mail.log.records import ChangeFlags, Record, decode_record
from epost.apps.mail.mailbox import CopyOutcome
from epost.apps.mail.ports import Origin
from epost.apps.mail.service import MailService
from epost.crypto.certificates import DeviceCert
from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.errors import PeerError
from epost.foundation.ids import BlockKind, Handle, NodeHandle, number
from epost.foundation.ports import Role, Vault
from epost.foundation.wire import Application
from epost.node.assembly import Node
from epost.node.joints import PendingUpcalls
from epost.node.settings import NodeConfigs, NodeMembership, UserOfNode
from epost.node.settings import NodePorts as Ports
from epost.past.blocks import handle_of
from epost.past.client import BlockStore, Conflict, Insertion
from epost.past.durability import Durability
from epost.past.messages import REQUEST, Put
from epost.past.messages import Accepted as Stored
from epost.past.reading import Answered, Reading
from epost.past.replica import TICK, Replica
from epost.past.surroundings import Surroundings
from epost.pastry.hops import Journey
from epost.pastry.node import PastryNode
from epost.pastry.router import Router
from epost.post.accounts.devices import Device
from epost.post.app_ids import AppId
from epost.post.assembly import Layers, Post
from epost.post.logs.entries import Entry
from epost.post.notification.handlers import Accepted, Deferred, Notification, Refused
from epost.post.notification.outbox import OpenMessage, Outbox
from epost.post.ports import NodePorts

GREEDY_BYTES_PER_SECOND = 1 << 30


class _LazyReplica(Replica):
    """Compares with nobody: it answers, but asks for nothing."""

    def on_timer(self, name: str, now: float) -> None:
        if name == TICK:
            self.membership.refresh(now)
            self._outbox.set_timer(Application.PAST, TICK, self._around.config.tick_seconds)
        else:
            super().on_timer(name, now)


class LazyNode(Node):
    replica_type = _LazyReplica


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
        self._outbox.reply_when_durable(caller, encode(Stored(b"")))


class CredulousNode(Node):
    replica_type = _CredulousReplica


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


class HeedlessNode(Node):
    def _layers(self) -> Layers:
        layers = super()._layers()
        return replace(layers, blocks=_HeedlessBlocks(self.blocks, self.vault))


class _NegligentOutbox(Outbox):
    """Offers everything once."""

    def message(self, message_key: bytes) -> OpenMessage | None:
        return None


class NegligentNode(Node):
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


class CopyingNode(Node):
    mail_type = _CopyingMail


class _ForgetfulInbox(MailInbox):
    """Takes mails, and has nothing of them logged."""

    async def accept(self, notification: Notification) -> Accepted | Refused | Deferred:
        answer = await super().accept(notification)
        return replace(answer, entries=()) if isinstance(answer, Accepted) else answer


class _ForgetfulMail(MailService):
    inbox_type = _ForgetfulInbox


class ForgetfulNode(Node):
    """A device that signs for mails, and loses them."""

    mail_type = _ForgetfulMail


class _DeafMail(MailService):
    """Does not hear which flags other machines of the account change."""

    async def take(self, origin: Origin, after: int, entries: Sequence[tuple[int, Entry]]) -> None:
        heard = [(sequence, _without_flags(entry)) for sequence, entry in entries]
        await super().take(origin, after, heard)


def _without_flags(entry: Entry) -> Entry:
    """Return an entry, or one that means nothing in place of changed flags."""
    if entry.app != AppId.MAIL or not isinstance(_record_of(entry), ChangeFlags):
        return entry
    return Entry(AppId.POST, b"")


def _record_of(entry: Entry) -> Record | None:
    with suppress(PeerError):
        return decode_record(bytes(entry.payload))
    return None


class DeafNode(Node):
    """A machine of a user that shows the flags which were set on it, and no others."""

    mail_type = _DeafMail


class _HastyRouter(Router):
    """Takes itself for the root of what it should hand to the root."""

    def _next_hop(self, journey: Journey) -> NodeHandle | None:
        hop = super()._next_hop(journey)
        is_our_own = journey.origin.node_id == self._me.node_id
        if hop is None or is_our_own or journey.application is not Application.PAST:
            return hop
        here = self._peers.leaf_set.neighbourhood
        return None if here.contains(number(journey.key)) else hop


class _HastyOverlay(PastryNode):
    router_type = _HastyRouter


class HastyNode(Node):
    """A node one hop before the root, which takes itself for the root."""

    overlay_type = _HastyOverlay


class GreedyNode(Node):
    """A node that asks for whatever it lacks at once."""

    def __init__(
        self,
        membership: NodeMembership,
        ports: Ports,
        configs: NodeConfigs,
        user: UserOfNode | None = None,
    ) -> None:
        past = replace(configs.past, repair_bytes_per_second=GREEDY_BYTES_PER_SECOND)
        super().__init__(membership, ports, replace(configs, past=past), user)


class _AssumingReplica(Replica):
    """Takes for granted that nobody puts a block twice."""

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        request = REQUEST.decode(body)
        if isinstance(request, Put) and request.handle.kind is BlockKind.CONTENT:
            assert self._around.vault.entry(request.handle) is None, "put twice"
        super().on_request(caller, body, now)


class AssumingNode(Node):
    """A node that stops at what it did not expect."""

    replica_type = _AssumingReplica
