"""The bytes of every format are those of the golden vectors, and read back as what they were.

After a deliberate change of a format: write `all_vectors()` to tests/vectors again.
"""

import json
from pathlib import Path

import pytest

from epost.crypto.certificates import NODE_CERT, open_device_certificate
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import open_key_block
from epost.foundation.ids import BlockKind
from epost.past.attestations import open_deposit, open_statement, open_stored
from epost.past.blocks import Prover, handle_of
from epost.past.log_format import check_cluster, open_head, split_records
from epost.past.messages import REPLY, REQUEST, UPKEEP
from epost.past.tickets import NodeCertificates, Vouchers
from epost.rings.invite import parse_invite
from epost.rings.messages import RINGS_MESSAGE
from epost.rings.policy import read_issuer_block, read_root_block
from tests.support.organisation import START_MS
from tests.support.vectors import HANDLE, ORG, USER, all_vectors

FOLDER = Path(__file__).parents[2] / "vectors"
MADE = all_vectors()


def golden(group: str) -> dict[str, bytes]:
    vectors = json.loads((FOLDER / f"{group}.json").read_text())
    return {name: bytes.fromhex(data) for name, data in vectors.items()}


@pytest.mark.parametrize("group", sorted(MADE))
def test_what_is_made_today_is_what_was_made_then(group: str) -> None:
    assert {name: bytes.fromhex(data) for name, data in MADE[group].items()} == golden(group)


def test_the_authority_s_blocks_verify() -> None:
    vectors, trust = golden("rings"), ORG.trust()
    issuer, content = read_issuer_block(
        open_key_block(vectors["issuer block"]), trust.issuers, ORG.ring
    )
    assert (issuer.serial, len(content.revoked)) == (7, 2)
    root = read_root_block(open_key_block(vectors["root block"]), ORG.root.public, ORG.ring)
    assert root.issuers == (vectors["issuer certificate"],)
    account = trust.verify_account(vectors["account certificate"], START_MS)
    assert open_device_certificate(vectors["device certificate"], account).number == 1
    assert trust.verify_node(vectors["node certificate"], START_MS)
    assert parse_invite(vectors["invite"].decode(), START_MS - 1).name == "a@example.org"
    for name in ("numbers", "ask", "news"):
        assert RINGS_MESSAGE.decode(vectors[name])


def test_the_blocks_prove_themselves() -> None:
    vectors, prover = golden("past_blocks"), Prover(ORG.ring, ORG.trust)
    for name, kind in (
        ("public-key block", BlockKind.KEY),
        ("pending", BlockKind.PENDING),
        ("receipt", BlockKind.RECEIPT),
    ):
        handle = handle_of(kind, vectors[name])
        assert prover.prove(handle, vectors[name], now_ms=START_MS).handle == handle
    records, head = split_records(vectors["cluster"]), open_head(vectors["log head"])
    assert records[0] == vectors["log record"]
    body = vectors["cluster"][: 4 + len(records[0])]
    assert check_cluster(handle_of(BlockKind.CLUSTER, body), body, head)[-1] == head.cluster_tip
    certificate = USER.account_certificate
    assert handle_of(BlockKind.CERTIFICATE, certificate).kind is BlockKind.CERTIFICATE


def test_the_attestations_verify() -> None:
    vectors, nodes = golden("past_attestations"), NodeCertificates(ORG.trust)
    vouched = Vouchers(nodes, ORG.ring).open(vectors["voucher"])
    assert vouched.covers(HANDLE, 33)
    signers = [
        open_stored(vectors["stored"], nodes, START_MS)[0],
        open_statement(vectors["statement"], nodes, START_MS, nonce=b"n" * 16)[0],
        open_deposit(vectors["deposit"], nodes, START_MS, pending=b"p" * 32)[0],
    ]
    certificate = golden("rings")["node certificate"]
    assert signers == [NODE_CERT.decode(parse(certificate, Kind.NODE).body)] * 3


def test_the_messages_decode_in_their_group_only() -> None:
    vectors = golden("past_messages")
    for name in ("put", "extend", "fetch", "has"):
        assert REQUEST.decode(vectors[name])
    for name in ("accepted", "settled", "differs", "incomplete", "found", "absent", "holds"):
        assert REPLY.decode(vectors[name]) is not None
    for name in ("summary", "agreed", "compared", "offer", "have", "want", "give", "gone"):
        assert UPKEEP.decode(vectors[name])
