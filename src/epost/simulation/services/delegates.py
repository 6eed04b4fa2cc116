"""Machines that lie about the notices that they keep for others: up to a third of them all.

Unlike the liars of `simulation.storage` they are counted on nowhere: even all k delegates of a
notice may be such, and then it is for the sender's outbox to see to it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import msgspec

from epost.crypto.certificates import DeviceCert
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.codec import encode
from epost.foundation.errors import EpostError
from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle
from epost.foundation.ports import PutBlock, Role, Write
from epost.foundation.wire import Application
from epost.node.assembly import Node
from epost.node.joints import PendingUpcalls
from epost.past.pending import ENVELOPE, receipt_handle
from epost.past.replica import Replica
from epost.past.surroundings import Surroundings
from epost.post.messages import Settle
from epost.post.notification.presence import Presence, SignedPresence
from epost.simulation.broken.nodes import SilentNode
from epost.simulation.broken.vaults import HELD_FOR_OTHERS
from epost.simulation.correspondence import forged_receipt
from epost.simulation.defects import Defect
from epost.simulation.office import Office
from epost.simulation.storage.sleeping import SleepyNode, sleepy
from epost.simulation.vault import SimulatedVault
from epost.simulation.world import SimulatedClock

CALL_SECONDS = 2.0
PRESENCES_KEPT = 50

Counts = Counter[str]
"""How often something happened."""


class _DroppingVault(SimulatedVault):
    """Says that it keeps notices for others, signs so, and keeps none."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Write all but notices kept for others."""
        return super().commit([write for write in writes if not _is_notice(write)])


def _is_notice(write: Write) -> bool:
    return (
        isinstance(write, PutBlock)
        and write.entry.handle.kind is BlockKind.PENDING
        and not write.entry.roles & ~HELD_FOR_OTHERS
    )


class _FalseReceipts:
    """Claims to senders, and to whoever looks a receipt up, that a notice has arrived."""

    def __init__(
        self, node: Node, upcalls: PendingUpcalls, office: Office, random: Random, counts: Counts
    ) -> None:
        self._node = node
        self._upcalls = upcalls
        self._office = office
        self._random = random
        self._counts = counts
        self._clock = SimulatedClock()

    def on_pending_held(self, handle: Handle, envelope: bytes) -> None:
        """Tell nobody of it but the senders, and those something untrue."""
        self._node.driver.run_story(self._claim(handle, envelope))

    def on_pending_gone(self, handle: Handle) -> None:
        """Nothing was done about it."""

    def is_device_revoked(self, device: DeviceCert) -> bool:
        """Answer as it should."""
        return self._upcalls.is_device_revoked(device)

    async def _claim(self, pending: Handle, envelope: bytes) -> None:
        node, now_ms = self._node, self._clock.wall_ms()
        recipient = ENVELOPE.decode(envelope).to_account
        forged = forged_receipt(self._office, self._random, pending.digest, recipient, now_ms)
        self._counts["receipts claimed"] += 1
        with suppress(EpostError):  # what nobody has signed cannot even be stored
            handle = receipt_handle(pending.digest)
            proven = node.replica.prover.prove(handle, forged, now_ms=now_ms)
            node.driver.outbox.write(PutBlock(proven.entry(Role.REPLICA), forged))
            node.driver.wake()
        for user in self._office.users:
            with suppress(EpostError):
                await node.driver.calls.call(
                    user.host.me,
                    Application.POST,
                    encode(Settle(forged)),
                    timeout_seconds=CALL_SECONDS,
                )


class _Replayed:
    """Says again, much later, what devices have said of where they are; some of it changed."""

    def __init__(self, node: Node, random: Random, counts: Counts, every_seconds: float) -> None:
        self._node = node
        self._random = random
        self._counts = counts
        self._every_seconds = every_seconds
        self._heard: deque[tuple[Id, bytes]] = deque(maxlen=PRESENCES_KEPT)

    def on_multicast(self, group: Id, body: bytes, _now: float) -> None:
        """Keep what was said in a group."""
        self._heard.append((group, body))

    async def run(self) -> None:
        """Replay for ever."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._every_seconds))
            if self._heard:
                group, body = self._random.choice(self._heard)
                if self._random.random() < 0.5:
                    body = _at_another_node(body, self._node.me)
                self._counts["presences replayed"] += 1
                self._node.scribe.multicast(group, body)
                self._node.driver.wake()


def _at_another_node(body: bytes, node: NodeHandle) -> bytes:
    """Put other addresses into a presence, under the signature that it has."""
    said = msgspec.msgpack.decode(body, type=SignedPresence)
    true = msgspec.msgpack.decode(parse(said.presence, Kind.PRESENCE).body, type=Presence)
    changed = said.presence.replace(true.node.node_id, node.node_id)
    return encode(msgspec.structs.replace(said, presence=changed))


def lying_delegates(
    office: Office, random: Random, counts: Counts, *, replay_every_seconds: float
) -> Sequence[Defect]:
    """Return the ways to lie; `counts` is told how often the louder ones do."""

    class ClaimingNode(SleepyNode):
        def _make_replica(self, around: Surroundings, upcalls: PendingUpcalls) -> Replica:
            lies = _FalseReceipts(self, upcalls, office, random, counts)
            return Replica(around, delegation=lies, is_clock_sound=self.clock_check.is_sound)

    class ReplayingNode(SleepyNode):
        """It joins the groups as a delegate does, and delivers too."""

        def start(self) -> None:
            super().start()
            replayed = _Replayed(self, random, counts, replay_every_seconds)
            self.scribe.register(replayed)
            self.driver.run_story(replayed.run())

    return (
        Defect("keeps notices to itself", None, "never tells", node=sleepy(SilentNode)),
        Defect("drops notices", None, "signs for them", vault=_DroppingVault, node=SleepyNode),
        Defect("claims delivery", None, "forges receipts for senders", node=ClaimingNode),
        Defect("replays presences", None, "says where users were", node=ReplayingNode),
    )
