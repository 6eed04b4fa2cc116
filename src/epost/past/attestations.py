"""What storage nodes sign about what they hold (crypto 4.5, 7.6).

`stored` follows a write of a mutable block, `statement` a read of one: a node that signed stored
(version v) and later states less has lost it or hides it, and the two signatures show that to
anybody. `deposit` says that a delegate holds a pending notice. Blocks that cannot be rolled back
need none of these: the acknowledgement over the authenticated link is enough.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.crypto.certificates import CERTIFICATE_SIZE_MAX, V1, NodeCert
from epost.crypto.signed import open_signed, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import Format, encode
from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import MUTABLE_KINDS, U63, BlockKind, Bytes16, Bytes32, Handle
from epost.past.blocks import Proven
from epost.past.pending import PENDING_MARK
from epost.past.tickets import LEASE_MS_MAX, NodeCertificates

NONCE_BYTES = 16
ATTESTATION_SIZE_MAX = CERTIFICATE_SIZE_MAX + 1024
BodyHash = Annotated[bytes, msgspec.Meta(max_length=32)]


class Stored(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """This version is committed here, and kept until a time (milliseconds since 1970)."""

    format: V1
    handle: Handle
    version: U63
    body_hash: BodyHash
    until: U63
    at: U63


class Statement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The newest version here, as asked with a nonce; version 0 and no hash if there is none."""

    format: V1
    nonce: Bytes16
    handle: Handle
    version: U63
    body_hash: BodyHash
    at: U63


class Deposit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A pending notice of this digest is committed here and will be delivered."""

    format: V1
    pending: Bytes32
    until: U63
    at: U63


class _Attested(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    signed: Annotated[bytes, msgspec.Meta(max_length=1024)]
    node: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]


_ATTESTED: Format[_Attested] = Format(_Attested, size_max=ATTESTATION_SIZE_MAX)
STORED: Format[Stored] = Format(Stored, size_max=1024)
STATEMENT: Format[Statement] = Format(Statement, size_max=1024)
DEPOSIT: Format[Deposit] = Format(Deposit, size_max=1024)


class Attestor:
    """Signs with this node's key; each attestation travels with the node's certificate."""

    def __init__(self, key: SigningKey, node_certificate: bytes) -> None:
        self._key = key
        self._certificate = node_certificate

    def renew(self, node_certificate: bytes) -> None:
        """Travel with this renewed certificate from now on."""
        self._certificate = node_certificate

    def attest(self, proven: Proven, now_ms: int) -> bytes:
        """Sign that a block is kept here: `stored`, `deposit`, or nothing for other kinds."""
        handle = proven.handle
        if handle.kind in MUTABLE_KINDS:
            until = now_ms + LEASE_MS_MAX
            stored = Stored(1, handle, proven.version, proven.body_hash, until, now_ms)
            return self.stored(stored)
        if handle.kind is BlockKind.PENDING:
            until = PENDING_MARK.decode(proven.proof).expires_at
            return self.deposit(Deposit(1, handle.digest, until, now_ms))
        return b""

    def stored(self, stored: Stored) -> bytes:
        """Sign that a version is kept."""
        return self._attest(Kind.STORED, encode(stored))

    def statement(self, statement: Statement) -> bytes:
        """Sign what the newest version is."""
        return self._attest(Kind.STATEMENT, encode(statement))

    def deposit(self, deposit: Deposit) -> bytes:
        """Sign that a notice is kept for its recipient."""
        return self._attest(Kind.DEPOSIT, encode(deposit))

    def _attest(self, kind: Kind, body: bytes) -> bytes:
        return encode(_Attested(sign(self._key, kind, body), self._certificate))


def open_stored(data: bytes, nodes: NodeCertificates, now_ms: int) -> tuple[NodeCert, Stored]:
    """Verify a store receipt; raises PeerError, AuthenticityError."""
    attested, node = _open(data, nodes, now_ms)
    return node, open_signed(attested.signed, Kind.STORED, node.node_key, STORED)


def open_statement(
    data: bytes, nodes: NodeCertificates, now_ms: int, *, nonce: bytes
) -> tuple[NodeCert, Statement]:
    """Verify a read statement made for our nonce; raises PeerError, AuthenticityError."""
    attested, node = _open(data, nodes, now_ms)
    statement = open_signed(attested.signed, Kind.STATEMENT, node.node_key, STATEMENT)
    if statement.nonce != nonce:
        raise MalformedPacket("a statement made for another question")
    return node, statement


def open_deposit(
    data: bytes, nodes: NodeCertificates, now_ms: int, *, pending: bytes
) -> tuple[NodeCert, Deposit]:
    """Verify a deposit receipt for a notice; raises PeerError, AuthenticityError."""
    attested, node = _open(data, nodes, now_ms)
    deposit = open_signed(attested.signed, Kind.DEPOSIT, node.node_key, DEPOSIT)
    if deposit.pending != pending:
        raise MalformedPacket("a deposit receipt for another notice")
    return node, deposit


def _open(data: bytes, nodes: NodeCertificates, now_ms: int) -> tuple[_Attested, NodeCert]:
    attested = _ATTESTED.decode(data)
    return attested, nodes.verify(attested.node, now_ms)
