"""An organisation with its authority, for tests: certificates, members, policy blocks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from epost.crypto.certificates import (
    AccountCert,
    DeviceCert,
    IssuerCert,
    NodeCert,
    NodeRole,
    OrganisationTrust,
    OrgCert,
    Power,
    account_id_of,
    certify,
)
from epost.crypto.names import ring_of
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import KeyBlock
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import Address, NodeHandle
from epost.rings.policy import (
    CertifiedLogHead,
    IssuerContent,
    Policy,
    Revocation,
    RootContent,
    initial_policy,
    make_issuer_block,
    make_root_block,
)

ALL_POWERS = int(Power.ACCOUNTS | Power.NODES | Power.REVOCATION | Power.POLICY)
START_MS = 1_800_000_000_000
"""The wall time at which simulations begin."""


def seed_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def key_of(name: str) -> SigningKey:
    return SigningKey(seed_of(name))


@dataclass(frozen=True)
class Member:
    """A node of the organisation, with everything that it needs to be one."""

    name: str
    key: SigningKey = field(repr=False)
    certificate: bytes = field(repr=False)
    handle: NodeHandle


@dataclass(frozen=True)
class User:
    """An account with one device."""

    key: SigningKey = field(repr=False)
    device_key: SigningKey = field(repr=False)
    account: AccountCert
    account_certificate: bytes = field(repr=False)
    device_certificate: bytes = field(repr=False)


class Organisation:
    """A root key, one issuer with every power, and what they sign."""

    def __init__(self, domain: str = "example.org", *, now_ms: int = START_MS) -> None:
        self.domain = domain
        self.ring = ring_of(domain)
        self.now_ms = now_ms
        self.root = key_of(domain + "/root")
        self.issuer_key = key_of(domain + "/issuer")
        until = now_ms + 3 * 365 * DAY_MS
        self.certificate = certify(
            self.root,
            OrgCert(1, domain, self.ring, 0, self.root.public, 8, now_ms - DAY_MS, until),
        )
        self.issuer_certificate = self.certify_issuer(self.issuer_key, 7)

    def certify_issuer(self, key: SigningKey, serial: int, powers: int = ALL_POWERS) -> bytes:
        certificate = IssuerCert(
            1, self.ring, key.public, key_of(self.domain + "/log").public, powers,
            bytes(32), bytes(32), serial, self.now_ms - DAY_MS, self.now_ms + 400 * DAY_MS,
        )  # fmt: skip
        return certify(self.root, certificate)

    def trust(self) -> OrganisationTrust:
        return OrganisationTrust(self.certificate, [self.issuer_certificate])

    def node(self, name: str, node_id: bytes | None = None, **changes: object) -> Member:
        key = key_of(f"{self.domain}/node/{name}")
        node_id = node_id or seed_of(f"{self.domain}/id/{name}")[:20]
        certificate = NodeCert(
            1, 7, self.ring, node_id, key.public, seed_of("tag/" + name)[:16],
            int(NodeRole.STORAGE), (), b"", 0, seed_of("serial/" + name)[:16], 0,
            self.now_ms - DAY_MS, self.now_ms + 90 * DAY_MS, self.now_ms + 400 * DAY_MS,
        )  # fmt: skip
        certificate = msgspec.structs.replace(certificate, **changes)
        handle = NodeHandle(self.ring, node_id, (Address(f"{name}.{self.domain}", 4000),))
        return Member(name, key, certify(self.issuer_key, certificate), handle)

    def user(self, name: str, **changes: object) -> User:
        key, device_key = key_of(f"{name}/account"), key_of(f"{name}/device")
        account = AccountCert(
            1, 7, self.ring, f"{name}@{self.domain}", account_id_of(key.public), 0, key.public,
            key_of(f"{name}/recovery").public, bytes(32), (), 0, 1, b"", 0,
            self.now_ms - DAY_MS, self.now_ms + 400 * DAY_MS,
        )  # fmt: skip
        account = msgspec.structs.replace(account, **changes)
        device = DeviceCert(
            1, account.account_id, 0, 1, device_key.public, bytes(32),
            key_of(f"{name}/log").public, True, self.now_ms,
        )  # fmt: skip
        return User(
            key, device_key, account, certify(self.issuer_key, account), certify(key, device)
        )

    def policy(self, *, k: int = 3, enrolled: int = 5, **changes: object) -> Policy:
        policy = msgspec.structs.replace(
            initial_policy(k), enrolled_storage_nodes=enrolled, **changes
        )
        assert isinstance(policy, Policy)
        return policy

    def issuer_block(
        self,
        policy: Policy,
        *,
        revoked: tuple[Revocation, ...] = (),
        previous: KeyBlock | None = None,
        key: SigningKey | None = None,
    ) -> KeyBlock:
        content = IssuerContent(
            1, 0, self.now_ms + 7 * DAY_MS, revoked, policy, CertifiedLogHead(0, bytes(32))
        )
        return make_issuer_block(
            key or self.issuer_key,
            ring=self.ring,
            previous=previous,
            issued_at=self.now_ms,
            content=content,
        )

    def root_block(
        self, *issuers: bytes, previous: KeyBlock | None = None, **changes: object
    ) -> KeyBlock:
        content = RootContent(1, issuers or (self.issuer_certificate,), (), b"")
        return make_root_block(
            self.root,
            ring=self.ring,
            previous=previous,
            issued_at=self.now_ms,
            content=msgspec.structs.replace(content, **changes),
        )
