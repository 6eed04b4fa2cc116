"""What an organisation's authority publishes: the issuer blocks and the root block (crypto 3.5).

Both are public-key blocks, so only their key writes them and versions only grow. An issuer block
carries the revocation list and the policy, the root block says which issuers count.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Annotated

import msgspec

from epost.crypto.certificates import CERTIFICATE_SIZE_MAX, ISSUERS_MAX, V1, IssuerCert, Power
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KEY_BLOCK_SIZE_MAX, KeyBlock, make_key_block
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import MalformedPacket, UntrustedCertificate
from epost.foundation.ids import U8, U16, U32, U63, Bytes16, Bytes32

REVOCATIONS_MAX = 1800
"""An issuer block of 64 KiB holds so many; a revocation is dropped once its certificate expired."""

QUOTA_CLASSES_MAX = 16
REMOVED_ISSUERS_MAX = 64
NEXT_UPDATE_MS_MAX = 7 * DAY_MS
FORMAT = 1

Replicas = Annotated[int, msgspec.Meta(ge=1, le=16)]
Certificate = Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]


class Reason(IntEnum):
    """Why a certificate is on the list. HELD is no revocation: it names a member by the tag in her
    machines' certificates, and says that leases of what she stored do not end. SUCCEEDED names an
    account key, not a certificate: another one followed it."""

    REPLACED = 1
    REMOVED = 2
    HELD = 3
    SUCCEEDED = 4


class Revocation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One certificate that counts no longer.

    `certificate` is the serial of a node certificate, or `certificate_hash` of any other, or
    `account_key_hash`.
    """

    certificate: Bytes16
    reason: U8
    at: U63


class Lifetimes(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Days that certificates are issued for (crypto 3), and that a lease lasts (crypto 10)."""

    account_days: U16
    node_soft_days: U16
    node_days: U16
    lease_days: U16


DEFAULT_LIFETIMES = Lifetimes(account_days=400, node_soft_days=90, node_days=400, lease_days=400)


class Policy(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What every member of the organisation goes by.

    `quotas` are MiB of a member's own data by quota class; 0 is no limit. Where there are 16, the
    last is no class but counts how often members were given other classes. The commitment lets
    members see that all were given the same organisation secret.
    """

    replication_factor: Replicas
    enrolled_storage_nodes: U32
    quotas: Annotated[tuple[U32, ...], msgspec.Meta(max_length=QUOTA_CLASSES_MAX)]
    secret_epoch: U32
    secret_commitment: Bytes32
    organisation_mode_bytes_min: U32
    has_escrow: bool
    lifetimes: Lifetimes

    @property
    def class_changes(self) -> int:
        """How often members were given other quota classes, so that their nodes ask for them."""
        return self.quotas[-1] if len(self.quotas) == QUOTA_CLASSES_MAX else 0


class CertifiedLogHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far the log of everything that the issuer certified has come."""

    sequence: U63
    tip: Bytes32


class IssuerContent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The content of an issuer block; `number` is the version of the block."""

    format: V1
    number: U63
    next_update: U63
    revoked: Annotated[tuple[Revocation, ...], msgspec.Meta(max_length=REVOCATIONS_MAX)]
    policy: Policy
    certified_log: CertifiedLogHead


class RemovedIssuer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An issuer whose certificates beyond a place in its certified log are void."""

    serial: U63
    last_log_sequence: U63


class RootContent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The content of the organisation's root block.

    `issuers` are the signed certificates of all whose signatures are still looked at, the removed
    ones included. `succession` is empty, or the signed handing over to the next root key.
    """

    format: V1
    issuers: Annotated[tuple[Certificate, ...], msgspec.Meta(min_length=1, max_length=ISSUERS_MAX)]
    removed: Annotated[tuple[RemovedIssuer, ...], msgspec.Meta(max_length=REMOVED_ISSUERS_MAX)]
    succession: Certificate


ISSUER_CONTENT: Format[IssuerContent] = Format(IssuerContent, size_max=KEY_BLOCK_SIZE_MAX)
ROOT_CONTENT: Format[RootContent] = Format(RootContent, size_max=KEY_BLOCK_SIZE_MAX)


def initial_policy(replication_factor: int) -> Policy:
    """Return what holds before any issuer block was seen: as if k nodes were enrolled."""
    return Policy(
        replication_factor=replication_factor,
        enrolled_storage_nodes=replication_factor,
        quotas=(),
        secret_epoch=0,
        secret_commitment=bytes(32),
        organisation_mode_bytes_min=64 * 1024,
        has_escrow=False,
        lifetimes=DEFAULT_LIFETIMES,
    )


def make_issuer_block(
    key: SigningKey,
    *,
    ring: bytes,
    previous: KeyBlock | None,
    issued_at: int,
    content: IssuerContent,
) -> KeyBlock:
    """Sign the next issuer block; the number and the order of the revocations are put right."""
    content = msgspec.structs.replace(
        content,
        number=previous.body.version + 1 if previous else 1,
        revoked=tuple(sorted(content.revoked, key=lambda r: r.certificate)),
    )
    return make_key_block(
        key,
        Kind.ISSUERBLOCK,
        ring=ring,
        previous=previous,
        issued_at=issued_at,
        content=encode(content),
    )


def make_root_block(
    key: SigningKey,
    *,
    ring: bytes,
    previous: KeyBlock | None,
    issued_at: int,
    content: RootContent,
) -> KeyBlock:
    """Sign the next root block with the organisation's key."""
    return make_key_block(
        key,
        Kind.ORGROOT,
        ring=ring,
        previous=previous,
        issued_at=issued_at,
        content=encode(content),
    )


def read_issuer_block(
    block: KeyBlock, issuers: Sequence[IssuerCert], ring: bytes
) -> tuple[IssuerCert, IssuerContent]:
    """Return what a verified block says; raises PeerError, UntrustedCertificate.

    Its key must be that of an issuer with power over policy or revocation.
    """
    _require_purpose(block, Kind.ISSUERBLOCK, ring)
    issuer = next((i for i in issuers if i.issuer_key == block.body.public_key), None)
    if issuer is None or not issuer.powers & (Power.POLICY | Power.REVOCATION):
        raise UntrustedCertificate("an issuer block by nobody who may publish one")
    content = ISSUER_CONTENT.decode(block.body.content)
    if content.number != block.body.version:
        raise MalformedPacket("the number of an issuer block is its version")
    names = [revocation.certificate for revocation in content.revoked]
    if any(a >= b for a, b in pairwise(names)):
        raise MalformedPacket("revocations are sorted, each certificate once")
    if content.next_update > block.body.issued_at + NEXT_UPDATE_MS_MAX:
        raise MalformedPacket("an issuer block is good for at most 7 days")
    return issuer, content


def read_root_block(block: KeyBlock, organisation_key: bytes, ring: bytes) -> RootContent:
    """Return what a verified block says; raises PeerError, UntrustedCertificate."""
    _require_purpose(block, Kind.ORGROOT, ring)
    if block.body.public_key != organisation_key:
        raise UntrustedCertificate("the root block of another organisation")
    return ROOT_CONTENT.decode(block.body.content)


def _require_purpose(block: KeyBlock, purpose: Kind, ring: bytes) -> None:
    if block.purpose is not purpose or block.body.ring != ring:
        raise MalformedPacket(f"not the {purpose.context} of this ring")
