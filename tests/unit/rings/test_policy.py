"""Issuer blocks say what they must, in one form."""

import msgspec
import pytest

from epost.crypto.signing import Kind
from epost.crypto.versioned import make_key_block
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import EpostError, MalformedPacket
from epost.rings.policy import (
    CertifiedLogHead,
    IssuerContent,
    Revocation,
    read_issuer_block,
    read_root_block,
)
from tests.support.organisation import START_MS, Organisation

ORG = Organisation()
ISSUERS = ORG.trust().issuers
A, B = Revocation(b"a" * 16, 1, 5), Revocation(b"b" * 16, 2, 6)


def block(**changes: object) -> object:
    content = IssuerContent(
        1, 1, START_MS + DAY_MS, (A, B), ORG.policy(), CertifiedLogHead(3, bytes(32))
    )
    content = msgspec.structs.replace(content, **changes)
    return make_key_block(
        ORG.issuer_key,
        Kind.ISSUERBLOCK,
        ring=ORG.ring,
        previous=None,
        issued_at=START_MS,
        content=encode(content),
    )


def test_a_block_reads_as_it_was_made_with_sorted_revocations() -> None:
    made = ORG.issuer_block(ORG.policy(k=2, enrolled=4), revoked=(B, A))
    issuer, content = read_issuer_block(made, ISSUERS, ORG.ring)
    assert issuer.serial == 7
    assert content.revoked == (A, B)
    assert (content.policy.replication_factor, content.policy.enrolled_storage_nodes) == (2, 4)
    again = ORG.issuer_block(ORG.policy(), previous=made)
    assert read_issuer_block(again, ISSUERS, ORG.ring)[1].number == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 2},
        {"revoked": (B, A)},
        {"revoked": (A, A)},
        {"next_update": START_MS + 8 * DAY_MS},
        {"format": 2},
        {"policy": ORG.policy(k=17)},
    ],
    ids=str,
)
def test_a_block_outside_its_rules_is_malformed(changes: dict) -> None:
    with pytest.raises(MalformedPacket):
        read_issuer_block(block(**changes), ISSUERS, ORG.ring)


def test_a_block_is_of_its_purpose_ring_and_key() -> None:
    issuer_block, root_block = ORG.issuer_block(ORG.policy()), ORG.root_block()
    assert read_root_block(root_block, ORG.root.public, ORG.ring).removed == ()
    for data, key, ring in (
        (issuer_block, ORG.root.public, ORG.ring),
        (root_block, ORG.issuer_key.public, ORG.ring),
        (root_block, ORG.root.public, bytes(20)),
    ):
        with pytest.raises(EpostError):
            read_root_block(data, key, ring)
    with pytest.raises(EpostError):
        read_issuer_block(root_block, ISSUERS, ORG.ring)
