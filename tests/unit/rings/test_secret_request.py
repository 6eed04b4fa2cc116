"""Asking for the organisation's secret: what an issuer and a member believe."""

from __future__ import annotations

import msgspec
import pytest

from epost.foundation.codec import encode
from epost.foundation.errors import AuthenticityError, EpostError, NotPermitted, PeerError
from epost.rings.policy import Policy, initial_policy
from epost.rings.renewal import Denied, sign_renewal
from epost.rings.secret_request import (
    SEAL_CONTEXT,
    SecretGiven,
    SecretRequest,
    commitment_of,
    is_secret_request,
    open_secret_answer,
    open_secret_request,
    request_digest,
    sign_secret_request,
)
from epost.simulation.sealing import SimulatedSealing
from epost.simulation.world import SimulatedEntropy
from tests.support.organisation import START_MS, Organisation, seed_of

ORG = Organisation("example.org")
ALICE = ORG.node("alice")
SEALING = SimulatedSealing(SimulatedEntropy(1, "test"))
SEED, SECRET = seed_of("device"), seed_of("secret")
REQUEST = SecretRequest(1, ORG.trust().ring, ALICE.certificate, b"", SEALING.public_key(SEED), 0)


def policy(secret: bytes = SECRET, epoch: int = 7) -> Policy:
    return msgspec.structs.replace(
        initial_policy(3), secret_epoch=epoch, secret_commitment=commitment_of(secret)
    )


def answer(request: bytes, secret: bytes = SECRET, epoch: int = 7) -> bytes:
    public_key = SEALING.public_key(SEED)
    sealed = SEALING.seal(public_key, SEAL_CONTEXT, request_digest(request), secret)
    return encode(SecretGiven(epoch, sealed))


def test_a_secret_that_the_policy_names_is_believed() -> None:
    assert open_secret_answer(answer(b"asked"), b"asked", SEED, policy(), SEALING) == SECRET


def test_what_was_answered_to_another_request_is_refused() -> None:
    with pytest.raises(AuthenticityError):
        open_secret_answer(answer(b"asked before"), b"asked", SEED, policy(), SEALING)


def test_another_secret_or_epoch_than_everybodys_is_refused() -> None:
    with pytest.raises(AuthenticityError):
        open_secret_answer(answer(b"asked", seed_of("hers")), b"asked", SEED, policy(), SEALING)
    with pytest.raises(PeerError):
        open_secret_answer(answer(b"asked", epoch=8), b"asked", SEED, policy(), SEALING)
    with pytest.raises(PeerError):
        open_secret_answer(answer(b"asked", b"short"), b"asked", SEED, policy(), SEALING)


def test_a_denial_says_why() -> None:
    with pytest.raises(NotPermitted, match="gone"):
        open_secret_answer(encode(Denied("gone")), b"asked", SEED, policy(), SEALING)


def test_a_request_is_no_renewal_and_no_renewal_a_request() -> None:
    renewal = sign_renewal(ALICE.certificate, ORG.trust().ring, ALICE.key, START_MS)
    assert not is_secret_request(renewal)
    assert is_secret_request(sign_secret_request(REQUEST, ALICE.key))
    with pytest.raises(EpostError):
        open_secret_request(renewal, ORG.trust(), START_MS)


def test_a_request_for_another_ring_is_refused() -> None:
    elsewhere = msgspec.structs.replace(REQUEST, ring=bytes(20), at=START_MS)
    with pytest.raises(AuthenticityError, match="another ring"):
        open_secret_request(sign_secret_request(elsewhere, ALICE.key), ORG.trust(), START_MS)
