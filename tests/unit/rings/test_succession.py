"""A root key hands over to the next, and everybody follows; nobody else can make them."""

from __future__ import annotations

import msgspec
import pytest

from epost.crypto.certificates import ISSUER_CERT, ORG_CERT, certify
from epost.crypto.signed import parse
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock
from epost.foundation.codec import encode
from epost.foundation.errors import AuthenticityError, EpostError, UntrustedCertificate
from epost.rings.policy import RootContent, make_root_block
from epost.rings.root_chain import RootChain
from epost.rings.succession import (
    SIGNED_SUCCESSION,
    SUCCESSION,
    SignedSuccession,
    open_succession,
    sign_succession,
)
from tests.support.organisation import START_MS, Organisation, key_of
from tests.unit.rings.test_issuers import POLICY, Office

ORG = Organisation()
NEXT, THIRD, MALLORY = key_of("next root"), key_of("third root"), key_of("mallory")


def chain_under(key: SigningKey, generation: int, org: Organisation = ORG) -> tuple[bytes, bytes]:
    """The organisation's and its issuer's certificate under another root key."""
    organisation = ORG_CERT.decode(parse(org.certificate, Kind.ORG).body)
    issuer = ISSUER_CERT.decode(parse(org.issuer_certificate, Kind.ISSUER).body)
    changed = msgspec.structs.replace(
        organisation, generation=generation, organisation_key=key.public
    )
    return certify(key, changed), certify(key, issuer)


def succession(former: SigningKey = ORG.root, following: SigningKey = NEXT, gen: int = 1) -> bytes:
    organisation, issuer = chain_under(following, gen)
    return sign_succession(
        former, following, ring=ORG.ring, organisation=organisation, issuers=[issuer],
        now_ms=START_MS,
    )  # fmt: skip


def root_block(
    key: SigningKey, issuer: bytes, previous: KeyBlock | None = None, said: bytes = b""
) -> KeyBlock:
    content = RootContent(1, (issuer,), (), said)
    return make_root_block(
        key, ring=ORG.ring, previous=previous, issued_at=START_MS, content=content
    )


FIRST = root_block(ORG.root, ORG.issuer_certificate)
LAST = root_block(ORG.root, ORG.issuer_certificate, FIRST, succession())
NEW = root_block(NEXT, chain_under(NEXT, 1)[1])


def test_a_succession_gives_the_next_chain() -> None:
    trust = open_succession(succession(), ORG.root.public, ORG.ring)
    assert trust.organisation.organisation_key == NEXT.public
    assert trust.organisation.generation == 1
    assert trust.issuers[0].issuer_key == ORG.issuer_key.public


def test_a_succession_needs_both_keys_and_the_right_ring() -> None:
    with pytest.raises(UntrustedCertificate):
        open_succession(succession(former=MALLORY), ORG.root.public, ORG.ring)
    with pytest.raises(UntrustedCertificate):
        open_succession(succession(), ORG.root.public, bytes(20))
    signed = SIGNED_SUCCESSION.decode(succession())
    for changes in ({"by_former": bytes(64)}, {"by_next": bytes(64)}):
        forged = encode(msgspec.structs.replace(signed, **changes))
        with pytest.raises(AuthenticityError):
            open_succession(forged, ORG.root.public, ORG.ring)
    body = SUCCESSION.decode(signed.body)
    other = msgspec.structs.replace(
        body, organisation=ORG.certificate, issuers=(ORG.issuer_certificate,)
    )
    data = encode(other)
    both = [key.sign(Kind.SUCCESSION, data) for key in (ORG.root, NEXT)]
    with pytest.raises(UntrustedCertificate, match="another organisation"):
        open_succession(encode(SignedSuccession(1, data, *both)), ORG.root.public, ORG.ring)


def test_whoever_pinned_the_former_key_follows_it_and_never_goes_back() -> None:
    chain = RootChain(ORG.trust())
    assert chain.believe(FIRST)
    before = chain.number
    assert chain.believe(LAST)
    assert chain.key == NEXT.public
    assert chain.block is None
    assert chain.believe(NEW)
    assert chain.number > before
    for old in (FIRST, LAST, NEW):
        assert not chain.believe(old)
    rival = root_block(ORG.root, ORG.issuer_certificate, LAST, succession(following=MALLORY))
    assert not chain.believe(rival), "the former key has said its last word"
    assert chain.key == NEXT.public


def test_whoever_pinned_the_next_key_keeps_the_last_word_of_the_former_for_others() -> None:
    chain = RootChain(open_succession(succession(), ORG.root.public, ORG.ring))
    assert chain.believe(NEW)
    with pytest.raises(UntrustedCertificate):
        chain.believe(FIRST)
    assert chain.believe(LAST)
    assert list(chain.former) == [ORG.root.public]
    mallorys = root_block(MALLORY, chain_under(MALLORY, 9)[1], None, succession(MALLORY, THIRD))
    with pytest.raises(EpostError):
        chain.believe(mallorys)


def test_a_key_can_be_replaced_again() -> None:
    chain = RootChain(ORG.trust())
    second_last = root_block(NEXT, chain_under(NEXT, 1)[1], NEW, succession(NEXT, THIRD, 2))
    for block in (LAST, NEW, second_last):
        assert chain.believe(block)
    assert chain.key == THIRD.public
    assert sorted(chain.former) == sorted([ORG.root.public, NEXT.public])


def test_the_ring_follows_and_who_was_away_follows_later() -> None:
    office = Office(3)
    for node in office.nodes:
        node.publish(FIRST.data)
        node.publish(office.organisation.issuer_block(POLICY).data)
    office.settle()
    office.nodes[0].publish(LAST.data)
    office.nodes[0].publish(NEW.data)
    office.settle()
    for node in office.nodes:
        assert node.trust.organisation.organisation_key == NEXT.public
        assert node.root_block == NEW.data
        assert node.policy == POLICY, "what issuers said counts under the new key"
    assert len({node.news_number for node in office.nodes}) == 1
    again = office.restart(2)
    assert again.trust.organisation.organisation_key == NEXT.public
    assert again.root_block == NEW.data
    again.publish(FIRST.data)  # what its enrolment had given
    office.notes[1].clear()
    late = office.restart(1)
    assert late.trust.organisation.organisation_key == ORG.root.public
    late.publish(FIRST.data)
    office.settle()
    late.on_start(0.0)
    office.settle()
    assert late.root_block == NEW.data
