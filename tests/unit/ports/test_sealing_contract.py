"""What both twins of public-key encryption promise."""

from __future__ import annotations

import pytest

from epost.crypto.sealing import OVERHEAD_BYTES, PUBLIC_KEY_BYTES, HpkeSealing
from epost.foundation.errors import BadSeal
from epost.foundation.ports import Sealing
from epost.simulation.sealing import SimulatedSealing
from epost.simulation.world import SimulatedEntropy

SEED, OTHER_SEED = bytes(range(32)), bytes(32)


def simulated(seed: int = 1) -> SimulatedSealing:
    return SimulatedSealing(SimulatedEntropy(seed, "sealing"))


@pytest.fixture(params=["real", "simulated"])
def sealing(request: pytest.FixtureRequest) -> Sealing:
    return HpkeSealing() if request.param == "real" else simulated()


@pytest.mark.parametrize("size", [0, 1, 257, 20_000])
def test_what_is_sealed_opens_again_and_is_longer_by_a_fixed_size(
    sealing: Sealing, size: int
) -> None:
    plaintext = bytes(i % 251 for i in range(size))
    sealed = sealing.seal(sealing.public_key(SEED), "notice", b"binding", plaintext)
    assert sealing.unseal(SEED, "notice", b"binding", sealed) == plaintext
    assert len(sealed) == size + OVERHEAD_BYTES


def test_a_public_key_has_a_fixed_size_and_follows_from_the_seed(sealing: Sealing) -> None:
    assert len(sealing.public_key(SEED)) == PUBLIC_KEY_BYTES
    assert sealing.public_key(SEED) == sealing.public_key(SEED)
    assert sealing.public_key(SEED) != sealing.public_key(OTHER_SEED)


@pytest.mark.parametrize(
    ("seed", "context", "binding"),
    [
        (OTHER_SEED, "notice", b"binding"),
        (SEED, "keyring", b"binding"),
        (SEED, "notice", b"another binding"),
    ],
)
def test_seed_context_and_binding_must_be_the_right_ones(
    sealing: Sealing, seed: bytes, context: str, binding: bytes
) -> None:
    sealed = sealing.seal(sealing.public_key(SEED), "notice", b"binding", b"plaintext")
    with pytest.raises(BadSeal):
        sealing.unseal(seed, context, binding, sealed)


@pytest.mark.parametrize("at", [0, 1100, 1120, -1])
def test_a_changed_byte_is_noticed(sealing: Sealing, at: int) -> None:
    sealed = bytearray(sealing.seal(sealing.public_key(SEED), "notice", b"", b"plaintext"))
    sealed[at] ^= 1
    with pytest.raises(BadSeal):
        sealing.unseal(SEED, "notice", b"", bytes(sealed))


@pytest.mark.parametrize("size", [0, 10, OVERHEAD_BYTES - 1])
def test_too_few_bytes_do_not_open(sealing: Sealing, size: int) -> None:
    with pytest.raises(BadSeal):
        sealing.unseal(SEED, "notice", b"", bytes(size))


@pytest.mark.parametrize("size", [0, 32, PUBLIC_KEY_BYTES - 1, PUBLIC_KEY_BYTES + 1])
def test_nothing_is_sealed_to_what_is_no_key(sealing: Sealing, size: int) -> None:
    with pytest.raises(BadSeal):
        sealing.seal(bytes(size), "notice", b"", b"plaintext")


def test_sealing_twice_gives_different_bytes(sealing: Sealing) -> None:
    key = sealing.public_key(SEED)
    assert sealing.seal(key, "notice", b"", b"plaintext") != sealing.seal(
        key, "notice", b"", b"plaintext"
    )


def test_the_simulated_twin_seals_the_same_bytes_in_every_run_of_a_seed() -> None:
    key = simulated().public_key(SEED)

    def sealed(seed: int) -> list[bytes]:
        twin = simulated(seed)
        return [twin.seal(key, "notice", b"", b"plaintext") for _ in range(3)]

    assert sealed(1) == sealed(1)
    assert sealed(1) != sealed(2)
