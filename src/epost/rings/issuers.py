"""How the newest blocks of the organisation's authority reach every node (crypto 3.5).

A machine (Application.RINGS). It keeps the blocks in the notes of the vault, tells its neighbours
their numbers and fetches newer ones. What they say, and which count, is `believed_blocks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from epost.crypto.certificates import OrganisationTrust
from epost.foundation.codec import encode
from epost.foundation.effects import Caller, Outbox
from epost.foundation.errors import EpostError, UnexpectedPacket
from epost.foundation.ids import Id, NodeHandle, NodeId
from epost.foundation.ports import Observer, PutNote
from epost.foundation.wire import Application
from epost.rings.believed_blocks import BelievedBlocks
from epost.rings.config import RingsConfig
from epost.rings.messages import RINGS_MESSAGE, Ask, Held, News, Numbers
from epost.rings.observed import NewsAccepted, NewsRefused

NOTES = "rings.blocks"
_GOSSIP = "gossip"


class Neighbours(Protocol):
    """What the overlay must tell."""

    def neighbours(self) -> Sequence[NodeHandle]:
        """Return the live leaf set, sorted by id."""
        ...


class Notes(Protocol):
    """What the vault must tell."""

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        ...


class Issuers(BelievedBlocks):
    """Keeps the blocks believed in the vault, and spreads them among neighbours."""

    def __init__(
        self,
        pinned: OrganisationTrust,
        overlay: Neighbours,
        notes: Notes,
        *,
        outbox: Outbox,
        observer: Observer,
        config: RingsConfig | None = None,
    ) -> None:
        """`pinned` is what the enrolment gave; blocks kept from earlier runs are read at once."""
        super().__init__(pinned, observer, config or RingsConfig())
        self._overlay = overlay
        self._outbox = outbox
        self._compared_last = b""
        kept = dict(notes.notes(NOTES))
        root_key = pinned.organisation.organisation_key
        for key in sorted(kept, key=lambda key: key != root_key):  # the root names the issuers
            self._recall(kept[key])

    def on_peer_number(self, peer: NodeHandle, number: int) -> None:
        """Compare with a peer whose link came up and who knows more, or less, than we."""
        if number != self.news_number:
            self._tell_numbers(peer)

    # What the authority hands in.

    def publish(self, block: bytes) -> None:
        """Take a new block of this node's own authority and spread it at once.

        Raises PeerError or AuthenticityError if it is not one; an older one is ignored.
        """
        if self._take(block):
            self._gossip()

    # Machine.

    def on_start(self, now: float) -> None:
        """Compare with the neighbours."""
        self._gossip()
        self._arm()

    def on_timer(self, name: str, now: float) -> None:
        """Compare with one neighbour after the other: a message may have been lost."""
        neighbours = self._overlay.neighbours()
        following = (n for n in neighbours if n.node_id > self._compared_last)
        node = next(following, neighbours[0] if neighbours else None)
        if node is not None:
            self._compared_last = node.node_id
            self._tell_numbers(node)
        self._arm()

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """Answer a neighbour's numbers with a question or with ours, take its news."""
        if body == self._own_numbers():
            return  # as nearly always: it holds what we hold
        match RINGS_MESSAGE.decode(body):
            case Numbers(held):
                self._compare(sender, held)
            case Ask(keys):
                self._answer(sender, keys)
            case News(block):
                self._hear(sender, block)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        """There are no requests to this machine."""
        raise UnexpectedPacket("RINGS answers no requests")

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """Nothing is ever loaded."""

    def on_unreachable(self, node: NodeId, now: float) -> None:
        """Nothing is kept per node."""

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        """Nothing is ever routed to this machine."""

    def forward(
        self, key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float
    ) -> bool:
        """Let routed messages pass."""
        return True

    def update(self, node: NodeHandle, joined: bool, now: float) -> None:
        """Compare with a new neighbour."""
        if joined:
            self._tell_numbers(node)

    def _arm(self) -> None:
        self._outbox.set_timer(Application.RINGS, _GOSSIP, self._config.gossip_seconds)

    def _gossip(self) -> None:
        for node in self._overlay.neighbours():
            self._tell_numbers(node)

    def _tell_numbers(self, node: NodeHandle) -> None:
        self._outbox.notify(node, Application.RINGS, self._own_numbers())

    def _compare(self, sender: NodeHandle, held: Sequence[Held]) -> None:
        ours = self._versions()
        theirs = {h.key: h.version for h in held}
        wanted = tuple(k for k in ours if theirs.get(k, 0) > ours[k])
        if wanted:
            self._send(sender, Ask(wanted))
        if any(version > theirs.get(key, 0) for key, version in ours.items()):
            self._tell_numbers(sender)

    def _answer(self, sender: NodeHandle, keys: Sequence[bytes]) -> None:
        by_key = {key: issued.block for key, issued in self._issued.items()} | self._chain.former
        if self._chain.block:
            by_key[self._chain.block.body.public_key] = self._chain.block
        for key in dict.fromkeys(keys):
            if key in by_key:
                self._send(sender, News(by_key[key].data))

    def _hear(self, sender: NodeHandle, block: bytes) -> None:
        try:
            is_new = self._take(block)
        except EpostError as error:
            self._observer.record(NewsRefused(sender.id, str(error)))
            return
        if is_new:
            self._gossip()

    def _send(self, to: NodeHandle, message: Ask | News) -> None:
        self._outbox.notify(to, Application.RINGS, encode(message))

    def _recall(self, data: bytes) -> None:
        try:
            self._believe(data)
        except EpostError as error:
            # An issuer that was removed since, or a damaged note: asking the neighbours helps.
            self._observer.record(NewsRefused(None, str(error)))

    def _take(self, data: bytes) -> bool:
        block = self._believe(data)
        if block is None:
            return False
        self._outbox.write(PutNote(NOTES, block.body.public_key, data))
        self._observer.record(NewsAccepted(block.purpose, block.body.version))
        return True
