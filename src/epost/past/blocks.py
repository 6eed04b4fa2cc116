"""The six kinds of blocks, and how each proves itself (paper section 2; crypto 4.1, 4.2).

The kind is part of every digest, so the bytes of one kind never pass as another. A block is proved
before it is stored and before it is read; only then is it decoded further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epost.crypto.certificates import (
    ACCOUNT_CERT,
    CLOCK_TOLERANCE_MS,
    AccountCert,
    OrganisationTrust,
)
from epost.crypto.hashing import digest
from epost.crypto.names import certificate_digest
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import KEY_BLOCK_SIZE_MAX, KeyBlock, open_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import HashMismatch, LimitExceeded, MalformedPacket
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Role, VaultEntry
from epost.past.log_format import CLUSTER_SIZE_MAX, check_cluster, cluster_handle, open_head
from epost.past.log_format import split_records as _split
from epost.past.pending import (
    PENDING_SIZE_MAX,
    RECEIPT_SIZE_MAX,
    PendingMark,
    ReceiptMark,
    claimed_receipt,
    open_envelope,
    open_receipt,
    pending_handle,
    receipt_handle,
    receipt_order,
)

CONTENT_SIZE_MAX = 4 * 1024 * 1024 + 132 * 1024
PROOF_SIZE_MAX = KEY_BLOCK_SIZE_MAX

SIZE_MAX = {
    BlockKind.CONTENT: CONTENT_SIZE_MAX,
    BlockKind.KEY: KEY_BLOCK_SIZE_MAX,
    BlockKind.CERTIFICATE: KEY_BLOCK_SIZE_MAX,
    BlockKind.CLUSTER: CLUSTER_SIZE_MAX,
    BlockKind.PENDING: PENDING_SIZE_MAX,
    BlockKind.RECEIPT: RECEIPT_SIZE_MAX,
}


@dataclass(frozen=True, slots=True)
class Proven:
    """What a verified block says about itself, as far as storing it goes.

    `version`, `body_hash` and `previous` order mutable blocks; `proof` is kept beside the body:
    a cluster's head, a key's purpose, a notice's recipient, a receipt's signer and status.
    """

    handle: Handle
    size: int
    version: int = 0
    body_hash: bytes = b""
    previous: bytes = b""
    proof: bytes = b""

    def entry(self, roles: Role, *, ticket: bytes = b"", stand_in_for: bytes = b"") -> VaultEntry:
        """Return the index row of the block."""
        return VaultEntry(
            self.handle,
            self.size,
            roles,
            self.version,
            self.body_hash,
            self.proof,
            ticket,
            stand_in_for if roles & (Role.STAND_IN | Role.DIVERTED) else b"",
        )


class Prover:
    """Verifies blocks of one ring; `trust` is asked each time, since issuers change."""

    def __init__(self, ring: bytes, trust: Callable[[], OrganisationTrust]) -> None:
        self._ring = ring
        self._trust = trust

    def prove(
        self,
        handle: Handle,
        block: bytes,
        *,
        proof: bytes = b"",
        now_ms: int,
        is_fresh: bool = True,
    ) -> Proven:
        """Verify a whole block against its handle; raises PeerError or AuthenticityError.

        `proof` is a cluster's head. A block that is not fresh (a repair) was accepted by
        others before: certificates may have expired since.
        """
        require_fitting(handle.kind, block)
        match handle.kind:
            case BlockKind.CONTENT:
                return _prove_content(handle, block)
            case BlockKind.KEY:
                return self._prove_key(handle, block, now_ms)
            case BlockKind.CERTIFICATE:
                return self._prove_certificate(handle, block, now_ms)
            case BlockKind.CLUSTER:
                return self.prove_cluster(handle, block, proof)
            case BlockKind.PENDING:
                return self._prove_pending(handle, block, now_ms)
            case BlockKind.RECEIPT:
                return self._prove_receipt(handle, block, now_ms, is_fresh=is_fresh)

    def prove_cluster(self, handle: Handle, body: bytes, head: bytes) -> Proven:
        """Verify a whole cluster with the newest head that names it."""
        opened = open_head(head)
        check_cluster(handle, body, opened)
        return Proven(handle, len(body), opened.version, opened.body_hash, proof=head)

    def _prove_key(self, handle: Handle, block: bytes, now_ms: int) -> Proven:
        opened = open_key_block(block, expected=handle)
        if opened.body.ring != self._ring:
            raise MalformedPacket("the public-key block of another ring")
        if opened.body.issued_at > now_ms + CLOCK_TOLERANCE_MS:
            raise MalformedPacket("issued more than a day ahead")
        return proven_key(opened)

    def _prove_certificate(self, handle: Handle, block: bytes, now_ms: int) -> Proven:
        account, body = self._open_account(block, now_ms)
        if handle != certificate_handle(account.name):
            raise MalformedPacket("the certificate of another name")
        return Proven(handle, len(block), account.version, digest("blk/body", body))

    def _open_account(self, block: bytes, now_ms: int) -> tuple[AccountCert, bytes]:
        # An expired certificate is still the newest word about its name until a newer one is
        # stored; readers judge the time, so replicas look at signature and form only.
        body = parse(block, Kind.ACCOUNT).body
        claimed = ACCOUNT_CERT.decode(body)
        return self._trust().verify_account(block, min(now_ms, claimed.not_after - 1)), body

    def _prove_pending(self, handle: Handle, block: bytes, now_ms: int) -> Proven:
        if pending_handle(block) != handle:
            raise HashMismatch("the notice has another digest")
        envelope = open_envelope(block, ring=self._ring, now_ms=now_ms)
        mark = PendingMark(envelope.to_account, envelope.expires_at)
        return Proven(handle, len(block), proof=encode(mark))

    def _prove_receipt(
        self, handle: Handle, block: bytes, now_ms: int, *, is_fresh: bool
    ) -> Proven:
        claimed = claimed_receipt(block)
        if claimed.at > now_ms + CLOCK_TOLERANCE_MS:
            raise MalformedPacket("a receipt from the future")
        at_ms = now_ms if is_fresh else min(now_ms, claimed.at)
        opened = open_receipt(block, self._trust().verify_account, at_ms)
        if opened.handle != handle:
            raise MalformedPacket("the receipt for another notice")
        receipt = opened.receipt
        mark = ReceiptMark(receipt.account_id, receipt.status, receipt.at)
        version = receipt_order(receipt.status, receipt.at)
        return Proven(handle, len(block), version, digest("blk/body", block), proof=encode(mark))


def content_handle(block: bytes) -> Handle:
    """Return the handle of a content-hash block."""
    return Handle(BlockKind.CONTENT, digest("blk/content", block))


def certificate_handle(name: str) -> Handle:
    """Return the handle of the block that certifies a name."""
    return Handle(BlockKind.CERTIFICATE, certificate_digest(name))


def handle_of(kind: BlockKind, block: bytes) -> Handle:
    """Return the handle of a block of our own, unverified; raises PeerError if it is none."""
    match kind:
        case BlockKind.CONTENT:
            return content_handle(block)
        case BlockKind.KEY:
            return open_key_block(block).handle
        case BlockKind.CERTIFICATE:
            return certificate_handle(ACCOUNT_CERT.decode(parse(block, Kind.ACCOUNT).body).name)
        case BlockKind.CLUSTER:
            return cluster_handle(_split(block)[0])
        case BlockKind.PENDING:
            return pending_handle(block)
        case BlockKind.RECEIPT:
            return receipt_handle(claimed_receipt(block).pending)


def proven_content(block: bytes) -> Proven:
    """Return what there is to say of a content-hash block of our own; raises LimitExceeded."""
    require_fitting(BlockKind.CONTENT, block)
    return Proven(content_handle(block), len(block))


def proven_key(block: KeyBlock) -> Proven:
    """Return what a verified public-key block says about itself."""
    body = block.body
    purpose = bytes((body.purpose,))
    return Proven(
        block.handle, len(block.data), body.version, block.body_hash, body.previous, purpose
    )


def require_fitting(kind: BlockKind, block: bytes) -> None:
    """Raise LimitExceeded for a block that is larger than any of its kind."""
    if len(block) > SIZE_MAX[kind]:
        raise LimitExceeded(f"a {kind.name.lower()} block of {len(block)} bytes")


def _prove_content(handle: Handle, block: bytes) -> Proven:
    if content_handle(block) != handle:
        raise HashMismatch("the block has another digest")
    return Proven(handle, len(block))
