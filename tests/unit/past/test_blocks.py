"""Each kind of block proves itself, and only under its own handle."""

import pytest

from epost.crypto.signing import Kind
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import EpostError, LimitExceeded
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Role
from epost.past.blocks import (
    CONTENT_SIZE_MAX,
    SIZE_MAX,
    Prover,
    certificate_handle,
    content_handle,
    handle_of,
)
from epost.past.pending import (
    RECEIPT_KEPT_MS,
    ReceiptStatus,
    claimed_device,
    receipt_order,
)
from tests.support.logs import Log
from tests.support.notices import envelope_for, receipt_by
from tests.support.organisation import START_MS, Organisation, key_of
from tests.support.past_ring import key_block

ORG = Organisation()
PROVER = Prover(ORG.ring, ORG.trust)
ALICE = ORG.user("alice")
LOG = Log(key_of("log"))
LOG.append(b"one", b"two")
HEAD = LOG.head().data

BLOCKS = {
    BlockKind.CONTENT: b"content",
    BlockKind.KEY: key_block(key_of("k")).data,
    BlockKind.CERTIFICATE: ALICE.account_certificate,
    BlockKind.CLUSTER: LOG.body,
    BlockKind.PENDING: envelope_for(ALICE),
    BlockKind.RECEIPT: receipt_by(ALICE, envelope_for(ALICE)),
}


@pytest.mark.parametrize("kind", list(BlockKind))
def test_a_block_is_proven_under_its_handle_only(kind: BlockKind) -> None:
    block = BLOCKS[kind]
    handle = handle_of(kind, block)
    proven = PROVER.prove(handle, block, proof=HEAD, now_ms=START_MS)
    assert (proven.handle, proven.size) == (handle, len(block))
    with pytest.raises(EpostError):
        PROVER.prove(Handle(kind, bytes(32)), block, proof=HEAD, now_ms=START_MS)


@pytest.mark.parametrize("kind", list(BlockKind))
def test_no_block_passes_as_another_kind(kind: BlockKind) -> None:
    block = BLOCKS[kind]
    digest = handle_of(kind, block).digest
    for other in BlockKind:
        if other is not kind:
            with pytest.raises(EpostError):
                PROVER.prove(Handle(other, digest), block, proof=HEAD, now_ms=START_MS)


@pytest.mark.parametrize("kind", list(BlockKind))
def test_every_kind_has_its_limit(kind: BlockKind) -> None:
    with pytest.raises(LimitExceeded):
        PROVER.prove(Handle(kind, bytes(32)), bytes(SIZE_MAX[kind] + 1), now_ms=START_MS)


def test_a_block_at_its_limit_is_accepted() -> None:
    block = bytes(CONTENT_SIZE_MAX)
    assert PROVER.prove(content_handle(block), block, now_ms=START_MS).size == CONTENT_SIZE_MAX


def test_an_expired_certificate_is_still_the_newest_word() -> None:
    handle = certificate_handle("alice@example.org")
    later = START_MS + 500 * DAY_MS
    assert PROVER.prove(handle, ALICE.account_certificate, now_ms=later).version == 1
    early = ORG.user("alice", not_before=START_MS + 5 * DAY_MS)
    with pytest.raises(EpostError):
        PROVER.prove(handle, early.account_certificate, now_ms=START_MS)


def test_receipts_outlive_the_certificates_they_rest_on_in_repair() -> None:
    block = BLOCKS[BlockKind.RECEIPT]
    handle = handle_of(BlockKind.RECEIPT, block)
    later = START_MS + 500 * DAY_MS
    assert PROVER.prove(handle, block, now_ms=later, is_fresh=False).version
    with pytest.raises(EpostError):
        PROVER.prove(handle, block, now_ms=later, is_fresh=True)
    with pytest.raises(EpostError, match="future"):
        PROVER.prove(handle, block, now_ms=START_MS - 2 * DAY_MS)
    assert claimed_device(block).device_key == ALICE.device_key.public
    assert RECEIPT_KEPT_MS > 187 * DAY_MS
    assert receipt_order(ReceiptStatus.READ, 0) > receipt_order(ReceiptStatus.ACCEPTED, 1 << 60)


@pytest.mark.parametrize("expires_at", [START_MS, START_MS + 200 * DAY_MS])
def test_a_notice_has_a_time_to_live_and_an_end(expires_at: int) -> None:
    block = envelope_for(ALICE, expires_at=expires_at)
    with pytest.raises(EpostError, match="expired"):
        PROVER.prove(handle_of(BlockKind.PENDING, block), block, now_ms=START_MS)


def test_blocks_of_another_ring_are_refused() -> None:
    block = key_block(key_of("k"), ring=bytes(20), purpose=Kind.HEAD)
    elsewhere = Prover(bytes(20), ORG.trust)
    assert elsewhere.prove(block.handle, block.data, now_ms=START_MS)
    for prover, data in ((PROVER, block.data), (elsewhere, BLOCKS[BlockKind.PENDING])):
        kind = BlockKind.KEY if data is block.data else BlockKind.PENDING
        with pytest.raises(EpostError):
            prover.prove(handle_of(kind, data), data, now_ms=START_MS)


def test_a_row_names_whom_it_stands_in_for_only_as_a_stand_in() -> None:
    proven = PROVER.prove(content_handle(b"x"), b"x", now_ms=START_MS)
    assert proven.entry(Role.STAND_IN, stand_in_for=b"n").stand_in_for == b"n"
    assert proven.entry(Role.REPLICA, stand_in_for=b"n").stand_in_for == b""
