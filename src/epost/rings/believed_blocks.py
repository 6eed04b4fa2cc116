"""What this node believes of the organisation's authority: its newest root block and issuer blocks.

Blocks enter by `_believe`, which verifies them against the pinned organisation key and never goes
back to an older one (crypto 3.5). How they get here, and to others, is `issuers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import UntrustedCertificate
from epost.foundation.ports import Observer
from epost.rings.config import RingsConfig
from epost.rings.messages import Held, Numbers
from epost.rings.observed import AuthoritySilent, CertificateAged, IssuerEquivocated
from epost.rings.policy import (
    IssuerContent,
    Policy,
    Reason,
    Revocation,
    initial_policy,
    read_issuer_block,
)
from epost.rings.root_chain import RootChain

STRANGERS_REFUSED_AFTER_MS = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class _Issued:
    block: KeyBlock
    issuer: IssuerCert
    content: IssuerContent


class BelievedBlocks:
    """Judges by the authority's newest word; `trust` grows as root blocks name new issuers."""

    def __init__(self, pinned: OrganisationTrust, observer: Observer, config: RingsConfig) -> None:
        """`pinned` is what the enrolment gave."""
        self._observer = observer
        self._config = config
        self._chain = RootChain(pinned)
        self._issued: dict[bytes, _Issued] = {}
        self._policy = initial_policy(config.replication_factor_default)
        self._revoked: frozenset[bytes] = frozenset()
        self._held: frozenset[bytes] = frozenset()
        self._numbers: bytes | None = None
        """What all neighbours are told: encoded once, until it changes."""
        self._is_silence_told = False

    @property
    def trust(self) -> OrganisationTrust:
        """The organisation with its newest issuers."""
        return self._chain.trust

    @property
    def policy(self) -> Policy:
        """The newest policy of any issuer with that power."""
        return self._policy

    def active_issuers(self) -> tuple[IssuerCert, ...]:
        """Return the issuers that were not dismissed."""
        removed = self._chain.removed
        return tuple(i for i in self._chain.trust.issuers if i.serial not in removed)

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

    def is_void(self, certificate: NodeCert | AccountCert) -> bool:
        """Did an issuer certify this who is dismissed since, beyond what still counts?"""
        last = self._chain.removed.get(certificate.issuer)
        return last is not None and certificate.log_sequence > last

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

    def _tell_silence(self, now_ms: int) -> None:
        """Warn once when every issuer block is past its time, again after it had a new one."""
        newest = self.newest()
        is_silent = newest is not None and self.is_stale(now_ms)
        if newest is not None and is_silent and not self._is_silence_told:
            self._observer.record(AuthoritySilent(newest.next_update))
        self._is_silence_told = is_silent

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

    def _newest_policy(self) -> Policy:
        with_power = [i for i in self._issued.values() if i.issuer.powers & Power.POLICY]
        if not with_power:
            return initial_policy(self._config.replication_factor_default)
        return max(with_power, key=_recency).content.policy

    def _listed(self) -> Sequence[Revocation]:
        return [
            revocation
            for issued in self._issued.values()
            if issued.issuer.powers & Power.REVOCATION
            for revocation in issued.content.revoked
        ]


def _recency(issued: _Issued) -> tuple[int, int, int]:
    return issued.block.body.issued_at, issued.block.body.version, issued.issuer.serial
