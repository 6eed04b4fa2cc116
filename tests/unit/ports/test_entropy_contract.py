"""What both sources of randomness promise."""

from __future__ import annotations

import pytest

from epost.daemon.world import SystemEntropy
from epost.foundation.ports import Entropy
from epost.simulation.world import SimulatedEntropy


@pytest.fixture(params=[SystemEntropy(), SimulatedEntropy(1, "node")], ids=["real", "simulated"])
def entropy(request: pytest.FixtureRequest) -> Entropy:
    return request.param


@pytest.mark.parametrize("size", [0, 1, 8, 32, 1000])
def test_a_token_has_the_size_asked_for(entropy: Entropy, size: int) -> None:
    assert len(entropy.token(size)) == size


def test_tokens_do_not_repeat(entropy: Entropy) -> None:
    assert len({entropy.token(16) for _ in range(1000)}) == 1000


def test_simulated_tokens_follow_from_seed_and_name_alone() -> None:
    def tokens(seed: int, *names: str) -> list[bytes]:
        entropy = SimulatedEntropy(seed, *names)
        return [entropy.token(8) for _ in range(3)]

    assert tokens(1, "a") == tokens(1, "a")
    assert len({tuple(tokens(*who)) for who in ((1, "a"), (2, "a"), (1, "b"), (1, "a", "b"))}) == 4
