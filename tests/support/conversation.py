"""One overlay node talking to peers that a test plays: given packets and time, expected packets."""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox, Send, SetTimer
from epost.foundation.ids import Address, Id, NodeHandle, point
from epost.foundation.ports import PutNote
from epost.foundation.wire import Application, unpack
from epost.pastry.config import PastryConfig
from epost.pastry.messages import (
    PACKET,
    HopAck,
    LeafSetProbe,
    LeafSetReply,
    Packet,
    Ping,
    Pong,
    Standing,
    Transit,
)
from epost.pastry.node import PastryNode
from epost.pastry.secure_routing import Credentials
from tests.support.ring import RING, Mailbox, Recorder, SeededEntropy


def spot(share: float) -> Id:
    """Return the point at a share of the ring, 0 <= share < 1."""
    return point(int(share * 2**64) << 96)


def peer(share: float, *, port: int = 4000, ring: bytes = RING) -> NodeHandle:
    """Return a node at a share of the ring."""
    return NodeHandle(ring, spot(share), (Address("127.0.0.1", port),))


class Conversation:
    """A node at the middle of the ring and what it says."""

    def __init__(
        self,
        *,
        config: PastryConfig | None = None,
        contacts: Sequence[NodeHandle] = (),
        me: NodeHandle | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.config = config or PastryConfig()
        self.now = 100.0
        self.outbox = Outbox()
        self.observed = Recorder()
        self.mailbox = Mailbox()
        self.notes: dict[tuple[str, bytes], bytes] = {}
        self.timers: dict[str, float] = {}
        self.unheard: list[tuple[NodeHandle, Packet]] = []
        self.node = PastryNode(
            me or peer(0.5),
            self.config,
            self.outbox,
            SeededEntropy(1),
            self.observed,
            contacts=contacts,
            credentials=credentials,
        )
        self.node.register(Application.PAST, self.mailbox)
        self.node.on_start(self.now)
        self.perform()

    @property
    def me(self) -> NodeHandle:
        return self.node.me

    def perform(self) -> None:
        for effect in self.outbox.drain():
            match effect:
                case Send(to, message):
                    self.unheard.append((to, PACKET.decode(unpack(message).body)))
                case SetTimer(_, name, delay):
                    self.timers[name] = self.now + delay
                case PutNote(table, key, value):
                    self.notes[table, key] = value
                case _:
                    raise AssertionError(f"unexpected effect {effect}")

    def said(self, kind: type | None = None) -> list:
        """Return (to, packet) of all packets since the last call, of one kind if named."""
        said, self.unheard = self.unheard, []
        return [(to, packet) for to, packet in said if kind is None or isinstance(packet, kind)]

    def hears(self, sender: NodeHandle, packet: Packet) -> None:
        self.node.on_notify(sender, encode(packet), self.now)
        self.perform()

    def waits(self, seconds: float) -> None:
        """Let time pass; timers go off."""
        end = self.now + seconds
        while self.timers:
            name = min(self.timers, key=lambda name: (self.timers[name], name))
            if self.timers[name] > end:
                break
            self.now = self.timers.pop(name)
            self.node.on_timer(name, self.now)
            self.perform()
        self.now = end

    def joins(self, *bootstrap: NodeHandle) -> None:
        self.node.join(bootstrap)
        self.perform()
        self.waits(0.0)

    def answers(self, *silent: NodeHandle, standing: Standing = Standing.READY) -> None:
        """Answer all probes and acknowledge all hops, except for nodes that keep silent."""
        mute = {node.node_id for node in silent}
        while any(
            isinstance(packet, LeafSetProbe | Ping | Transit) and to.node_id not in mute
            for to, packet in self.unheard
        ):
            for to, packet in self.said():
                if to.node_id in mute:
                    continue
                match packet:
                    case LeafSetProbe():
                        self.hears(to, LeafSetReply(packet.nonce, standing, ()))
                    case Ping():
                        self.hears(to, Pong(packet.nonce, standing))
                    case Transit():
                        self.hears(to, HopAck(packet.hop))

    def meets(self, *members: NodeHandle, standing: Standing = Standing.READY) -> None:
        """Have nodes enter the leaf set."""
        for node in members:
            self.hears(node, LeafSetProbe(1, standing, ()))
        self.answers(standing=standing)
        self.said()

    @property
    def leaves(self) -> list[NodeHandle]:
        return list(self.node.neighbours())


def member_of_ring(
    *others: NodeHandle,
    config: PastryConfig | None = None,
    credentials: Credentials | None = None,
) -> Conversation:
    """Return a node that is ready, in a ring with others."""
    talk = Conversation(config=config, credentials=credentials)
    talk.joins()
    talk.meets(*(others or (peer(0.1),)))
    assert talk.node.is_ready
    return talk
