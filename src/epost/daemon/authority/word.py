"""The authority's word: the issuer block that says who is revoked or held, and the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from epost.crypto.certificates import NodeRole, OrganisationTrust
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import KeyBlock, open_key_block
from epost.daemon.authority.certifying import REPLICATION_FACTOR, Certifier
from epost.daemon.authority.keys import IssuerKeys
from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import State
from epost.daemon.authority.rules import read_rules
from epost.daemon.authority.world import World
from epost.foundation.durations import DAY_MS
from epost.rings.policy import (
    NEXT_UPDATE_MS_MAX,
    IssuerContent,
    Policy,
    Reason,
    Revocation,
    make_issuer_block,
    read_issuer_block,
)
from epost.rings.secret_request import commitment_of

ORGANISATION_MODE_BYTES_MIN = 64 * 1024
ISSUER_BLOCK = "issuer"
DEPUTYS_MS = 401 * DAY_MS
"""No certificate that a deputy gave is in force for longer after the machine was revoked."""


class Word:
    """Signs issuer blocks from what the register says; their numbers only grow."""

    def __init__(
        self,
        register: Register,
        keys: IssuerKeys,
        certifier: Certifier,
        trust: OrganisationTrust,
        world: World,
    ) -> None:
        self._register = register
        self._certifier = certifier
        self._trust = trust
        self._world = world
        self._issuer = SigningKey(keys.issuer)
        self.inherited: Callable[[int], Sequence[Revocation]] = lambda _now: ()

    def newest(self) -> KeyBlock:
        """Return the newest issuer block."""
        data = self._register.block(ISSUER_BLOCK)
        assert data is not None, "an authority publishes its policy when it is founded"
        return open_key_block(data)

    def publish(self) -> None:
        """Sign the next issuer block; to be called inside a transaction."""
        now = self._world.clock.wall_ms()
        held = self._register.block(ISSUER_BLOCK)
        content = IssuerContent(
            format=1,
            number=0,
            next_update=now + NEXT_UPDATE_MS_MAX,
            revoked=tuple({r.certificate: r for r in self._revocations(now)}.values()),
            policy=self._policy(now),
            certified_log=self._certifier.log_head(),
        )
        block = make_issuer_block(
            self._issuer,
            ring=self._trust.ring,
            previous=open_key_block(held) if held else None,
            issued_at=now,
            content=content,
        )
        read_issuer_block(block, self._trust.issuers, self._trust.ring)
        self._register.put_block(ISSUER_BLOCK, block.data)

    def _revocations(self, now: int) -> Iterator[Revocation]:
        yield from self.inherited(now)
        has_deputies = len(self._trust.issuers) > 1
        for node in self._register.nodes():
            if node.revoked_at is None:
                continue
            # Of what a deputy renewed before the revocation, the register does not know.
            deputys = node.revoked_at + DEPUTYS_MS if has_deputies else 0
            if now < max(node.not_after, deputys):
                yield Revocation(node.serial, node.reason or 0, node.revoked_at)
        standings = self._register.standings()
        for old in self._register.superseded(now):
            standing = standings.get(old.name)
            if standing is not None and standing.is_gone:
                yield Revocation(old.hash, Reason.REMOVED, standing.since)
        for key_hash, since in self._register.succeeded_keys(now):
            yield Revocation(key_hash, Reason.SUCCEEDED, since)
        for account in self._register.accounts():
            standing = standings.get(account.name)
            if standing is not None and standing.state is State.HELD:
                yield Revocation(account.member_tag, Reason.HELD, standing.since)

    def _policy(self, now: int) -> Policy:
        nodes = self._register.nodes()
        storing = [n for n in nodes if n.is_in_force and now < n.not_after]
        secret = self._certifier.secrets.newest()
        return Policy(
            replication_factor=REPLICATION_FACTOR,
            enrolled_storage_nodes=sum(bool(n.roles & NodeRole.STORAGE) for n in storing),
            quotas=self._certifier.quotas.in_policy(),
            secret_epoch=secret.epoch,
            secret_commitment=commitment_of(secret.secret),
            organisation_mode_bytes_min=ORGANISATION_MODE_BYTES_MIN,
            has_escrow=False,
            lifetimes=read_rules(self._register).lifetimes,
        )
