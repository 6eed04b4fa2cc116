"""The newest blocks of the organisation's authority: which issuers count, who is revoked, policy.

A machine (Application.RINGS). It keeps the blocks in the notes of the vault, tells its neighbours
their numbers, fetches newer ones, believes only what the pinned organisation key stands behind
and never goes back to an older one (crypto 3.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from epost.crypto.certificates import (
    ISSUERS_MAX,
    AccountCert,
    IssuerCert,
    NodeCert,
    OrganisationTrust,
    Power,
    account_key_hash,
    certificate_hash,
)
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, open_key_block
from epost.foundation.codec import encode
from epost.foundation.effects import Caller, Outbox
from epost.foundation.errors import EpostError, UnexpectedPacket, UntrustedCertificate
from epost.foundation.ids import Id, NodeHandle, NodeId
from epost.foundation.ports import Observer, PutNote
from epost.foundation.wire import Application
from epost.rings.config import RingsConfig
from epost.rings.messages import RINGS_MESSAGE, Ask, Held, News, Numbers
from epost.rings.observed import (
    AuthoritySilent,
    CertificateAged,
    IssuerEquivocated,
    NewsAccepted,
    NewsRefused,
)
from epost.rings.policy import (
    IssuerContent,
    Policy,
    Reason,
    Revocation,
    initial_policy,
    read_issuer_block,
)
from epost.rings.root_chain import RootChain

NOTES = "rings.blocks"
STRANGERS_REFUSED_AFTER_MS = 30 * 24 * 3600 * 1000
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


@dataclass(frozen=True, slots=True)
class _Issued:
    block: KeyBlock
    issuer: IssuerCert
    content: IssuerContent


class Issuers:
    """Judges by the authority's newest word; grows `trust` as root blocks name new issuers."""

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
        self._overlay = overlay
        self._outbox = outbox
        self._observer = observer
        self._config = config or RingsConfig()
        self._chain = RootChain(pinned)
        self._issued: dict[bytes, _Issued] = {}
        self._policy = initial_policy(self._config.replication_factor_default)
        self._revoked: frozenset[bytes] = frozenset()
        self._held: frozenset[bytes] = frozenset()
        self._compared_last = b""
        self._numbers: bytes | None = None
        """What all neighbours are told: encoded once, until it changes."""
        self._is_silence_told = False
        kept = dict(notes.notes(NOTES))
        root_key = pinned.organisation.organisation_key
        for key in sorted(kept, key=lambda key: key != root_key):  # the root names the issuers
            self._recall(kept[key])

    # What others ask.

    @property
    def trust(self) -> OrganisationTrust:
        """The organisation with its newest issuers."""
        return self._chain.trust

    @property
    def policy(self) -> Policy:
        """The newest policy of any issuer with that power."""
        return self._policy

    def newest(self) -> IssuerContent | None:
        """Return the newest issuer block's content, None before any was seen."""
        issued = max(self._issued.values(), key=_recency, default=None)
        return issued.content if issued else None

    def replication_factor(self) -> int:
        """Return min(k, enrolled storage nodes), at least 1: how many machines are wanted."""
        policy = self.policy
        return max(1, min(policy.replication_factor, policy.enrolled_storage_nodes))

    def enrolled_storage_nodes(self) -> int:
        """Return how many storage nodes are certified and not revoked, reachable or not."""
        return self.policy.enrolled_storage_nodes

    def is_revoked(self, certificate: bytes) -> bool:
        """Is this node serial, or certificate hash, on any issuer's list?"""
        return certificate in self._revoked

    def is_node_revoked(self, node: NodeCert) -> bool:
        """Does this (verified) node certificate count no longer?"""
        return self.is_revoked(node.serial) or self.is_void(node)

    def is_account_revoked(self, data: bytes, account: AccountCert) -> bool:
        """Does this (verified) account certificate, `data` as it travels, count no longer?"""
        return self.is_revoked(certificate_hash(data)) or self.is_void(account)

    def is_key_succeeded(self, account: AccountCert) -> bool:
        """Did another key follow this one? What was signed under it counts as far as the present
        one lists its devices; nobody is sent to it any more."""
        return self.is_revoked(account_key_hash(account.account_key))

    def is_held(self, node: NodeCert) -> bool:
        """Is this machine's member away, with the authority's word that all of hers is kept?"""
        return node.member_tag in self._held

    @property
    def root_block(self) -> bytes | None:
        """The newest root block of the present key."""
        return self._chain.block.data if self._chain.block else None

    def blocks(self) -> Sequence[bytes]:
        """Return the newest root block and issuer blocks, for whoever enrols or restarts."""
        root = [self._chain.block.data] if self._chain.block else []
        return root + [self._issued[key].block.data for key in sorted(self._issued)]

    def content_of(self, issuer_key: bytes) -> IssuerContent | None:
        """Return what the newest issuer block of a key says."""
        issued = self._issued.get(issuer_key)
        return issued.content if issued else None

    def block_of(self, issuer_key: bytes) -> bytes | None:
        """Return the newest issuer block of a key."""
        issued = self._issued.get(issuer_key)
        return issued.block.data if issued else None

    def is_stale(self, now_ms: int) -> bool:
        """Is every issuer block past its time? Known peers go on, with a warning."""
        return all(now_ms >= i.content.next_update for i in self._issued.values())

    def admits_strangers(self, now_ms: int) -> bool:
        """May peers never seen before still be linked, by how old the newest issuer block is?"""
        newest = max((i.content.next_update for i in self._issued.values()), default=None)
        return newest is None or now_ms < newest + STRANGERS_REFUSED_AFTER_MS

    @property
    def news_number(self) -> int:
        """How new everything believed here is; grows with every block, never goes back.

        The root's number counts 2**32-fold: a root block may remove an issuer and its number.
        """
        return (self._chain.number << 32) + sum(i.block.body.version for i in self._issued.values())

    def on_peer_number(self, peer: NodeHandle, number: int) -> None:
        """Compare with a peer whose link came up and who knows more, or less, than we."""
        if number != self.news_number:
            self._tell_numbers(peer)

    def judge_link(self, node: NodeCert, *, is_known: bool, now_ms: int) -> None:
        """Raise UntrustedCertificate unless a verified node may be linked now (crypto 3.5).

        `is_known`: was it met before? Only such nodes are linked once the authority has been
        silent for long, since a stranger may have been revoked meanwhile. Age alone only warns.
        """
        if self.is_node_revoked(node):
            raise UntrustedCertificate("the certificate of this node was revoked")
        if not is_known and not self.admits_strangers(now_ms):
            raise UntrustedCertificate("a stranger, and the authority has been silent for 30 days")
        if now_ms >= node.soft_expiry:
            self._observer.record(CertificateAged(node.id, node.not_after))
        self._tell_silence(now_ms)

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

    def _tell_silence(self, now_ms: int) -> None:
        """Warn once when every issuer block is past its time, again after it had a new one."""
        newest = self.newest()
        is_silent = newest is not None and self.is_stale(now_ms)
        if newest is not None and is_silent and not self._is_silence_told:
            self._observer.record(AuthoritySilent(newest.next_update))
        self._is_silence_told = is_silent

    def _arm(self) -> None:
        self._outbox.set_timer(Application.RINGS, _GOSSIP, self._config.gossip_seconds)

    def _gossip(self) -> None:
        for node in self._overlay.neighbours():
            self._tell_numbers(node)

    def _tell_numbers(self, node: NodeHandle) -> None:
        self._outbox.notify(node, Application.RINGS, self._own_numbers())

    def _own_numbers(self) -> bytes:
        if self._numbers is None:
            held = [Held(key, version) for key, version in self._versions().items()]
            self._numbers = encode(Numbers(tuple(held)))
        return self._numbers

    def _versions(self) -> dict[bytes, int]:
        """Return the version held for each key that counts, root first; 0 for none."""
        root_key = self._chain.key
        versions = {root_key: self._chain.block.body.version if self._chain.block else 0}
        room = ISSUERS_MAX - len(self._chain.trust.issuers)
        versions |= {k: b.body.version for k, b in sorted(self._chain.former.items())[:room]}
        for key in sorted(i.issuer_key for i in self._chain.trust.issuers):
            versions[key] = self._issued[key].block.body.version if key in self._issued else 0
        return versions

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

    def _believe(self, data: bytes) -> KeyBlock | None:
        """Verify a block and put it in force if it is newer than what is; else return None."""
        block = open_key_block(data)
        if block.purpose is Kind.ORGROOT:
            is_new = self._believe_root(block)
        else:
            is_new = self._believe_issuer(block)
        if not is_new:
            return None
        self._numbers = None
        listed = self._listed()
        self._revoked = frozenset(r.certificate for r in listed if r.reason != Reason.HELD)
        self._held = frozenset(r.certificate for r in listed if r.reason == Reason.HELD)
        self._policy = self._newest_policy()  # asked for much more often than it changes
        return block

    def _believe_root(self, block: KeyBlock) -> bool:
        if not self._chain.believe(block):
            return False
        active = {issuer.issuer_key for issuer in self.active_issuers()}
        self._issued = {key: i for key, i in self._issued.items() if key in active}
        return True

    def _believe_issuer(self, block: KeyBlock) -> bool:
        issuer, content = read_issuer_block(block, self.active_issuers(), self._chain.trust.ring)
        held = self._issued.get(issuer.issuer_key)
        if held and block.body.version <= held.block.body.version:
            if block.body.version == held.block.body.version and block.order != held.block.order:
                both = held.block.data, block.data
                self._observer.record(IssuerEquivocated(issuer.serial, *both))
            return False
        self._issued[issuer.issuer_key] = _Issued(block, issuer, content)
        return True

    def active_issuers(self) -> tuple[IssuerCert, ...]:
        """Return the issuers that were not dismissed."""
        removed = self._chain.removed
        return tuple(i for i in self._chain.trust.issuers if i.serial not in removed)

    def _newest_policy(self) -> Policy:
        with_power = [i for i in self._issued.values() if i.issuer.powers & Power.POLICY]
        if not with_power:
            return initial_policy(self._config.replication_factor_default)
        return max(with_power, key=_recency).content.policy

    def is_void(self, certificate: NodeCert | AccountCert) -> bool:
        """Did an issuer certify this who is dismissed since, beyond what still counts?"""
        last = self._chain.removed.get(certificate.issuer)
        return last is not None and certificate.log_sequence > last

    def _listed(self) -> Sequence[Revocation]:
        return [
            revocation
            for issued in self._issued.values()
            if issued.issuer.powers & Power.REVOCATION
            for revocation in issued.content.revoked
        ]


def _recency(issued: _Issued) -> tuple[int, int, int]:
    return issued.block.body.issued_at, issued.block.body.version, issued.issuer.serial
