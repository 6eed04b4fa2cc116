"""A relay's bounds: how much it keeps, how fast it passes on, for whom, and what ends a tunnel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from epost.daemon.tls import TransportConfig
from epost.daemon.tls.frames import Frame
from epost.daemon.tls.observed import RelayBegan, RelayEnded, RelayRefused
from epost.daemon.tls.relay import QUEUED_BYTES_MAX, Relay
from epost.daemon.tls.relay_frames import (
    RELAYED_DATA_BYTES,
    TUNNEL_WINDOW_BYTES,
    Step,
    TunnelStep,
    parse_step,
)
from epost.foundation.ids import NodeId
from epost.simulation.clock import run as run_virtually
from tests.support.tls import node_id

ANNA, BERT, EMIL = node_id(1), node_id(2), node_id(3)
CONFIG = TransportConfig(relayed_bytes_per_second=100_000)


@dataclass
class Wires:
    """Where a relay sends, and what it tells."""

    sent: list[tuple[NodeId, TunnelStep]] = field(default_factory=list)
    events: list[object] = field(default_factory=list)
    missing: set[NodeId] = field(default_factory=set)

    def carry(self, node: NodeId, kind: Frame, payload: bytes) -> bool:
        assert kind is Frame.RELAYED
        if node in self.missing:
            return False
        self.sent.append((node, parse_step(memoryview(payload))))
        return True

    def record(self, event: object) -> None:
        self.events.append(event)

    def ended(self, node: NodeId) -> list[str]:
        return [s.data.decode() for to, s in self.sent if to == node and s.step is Step.END]


def opened(wires: Wires, config: TransportConfig = CONFIG) -> Relay:
    relay = Relay(config, wires, wires.carry)
    relay.on_step(ANNA, TunnelStep(Step.OPEN, BERT, 7))
    return relay


def virtually(story: Callable[[Wires], Coroutine[Any, Any, None]]) -> None:
    run_virtually(story(Wires()))


def data(to: NodeId, size: int = RELAYED_DATA_BYTES) -> TunnelStep:
    return TunnelStep(Step.DATA, to, 7, bytes(size))


def test_steps_go_both_ways_and_name_whom_they_come_from() -> None:
    async def story(wires: Wires) -> None:
        relay = opened(wires)
        relay.on_step(BERT, data(ANNA, 3))
        relay.on_step(ANNA, TunnelStep(Step.END, BERT, 7))
        assert wires.sent == [
            (BERT, TunnelStep(Step.OPEN, ANNA, 7)),
            (ANNA, TunnelStep(Step.DATA, BERT, 7, bytes(3))),
            (BERT, TunnelStep(Step.END, ANNA, 7)),
        ]
        assert len(relay) == 0
        assert wires.events == [RelayBegan(), RelayEnded(3)]

    virtually(story)


def test_no_more_passes_in_a_second_than_the_rate_of_a_pair() -> None:
    async def story(wires: Wires) -> None:
        relay = opened(wires)
        for _ in range(TUNNEL_WINDOW_BYTES // RELAYED_DATA_BYTES):
            relay.on_step(ANNA, data(BERT))
        passed = []
        for _ in range(3):
            passed.append(sum(len(step.data) for _, step in wires.sent))
            await asyncio.sleep(1.0)
        assert 100_000 <= passed[0] < 120_000
        assert passed[1] - passed[0] < 120_000
        assert sum(len(step.data) for _, step in wires.sent) == TUNNEL_WINDOW_BYTES
        assert not wires.ended(ANNA)
        relay.close()

    virtually(story)


def test_a_tunnel_of_which_more_than_the_windows_waits_is_ended() -> None:
    async def story(wires: Wires) -> None:
        relay = opened(wires)
        for _ in range(2 * QUEUED_BYTES_MAX // RELAYED_DATA_BYTES):
            relay.on_step(ANNA, data(BERT))
        assert "window" in wires.ended(ANNA)[0]
        assert "window" in wires.ended(BERT)[0]
        assert len(relay) == 0

    virtually(story)


def test_empty_steps_are_bounded_too() -> None:
    async def story(wires: Wires) -> None:
        relay = opened(wires)
        for _ in range(QUEUED_BYTES_MAX // 64 + 2000):
            relay.on_step(ANNA, data(BERT, 0))
        assert wires.ended(ANNA)

    virtually(story)


def test_one_node_has_so_many_pairs_and_all_together_so_many() -> None:
    async def story(wires: Wires) -> None:
        config = replace(CONFIG, relayed_pairs_per_node_max=2, relayed_pairs_max=3)
        relay = Relay(config, wires, wires.carry)
        for tunnel in range(3):
            relay.on_step(ANNA, TunnelStep(Step.OPEN, BERT, tunnel))
        assert len(relay) == 2
        for tunnel in range(3, 5):
            relay.on_step(EMIL, TunnelStep(Step.OPEN, BERT, tunnel))
        assert len(relay) == 3
        assert wires.events.count(RelayRefused("too many pairs")) == 2
        assert "too many pairs" in wires.ended(ANNA)[0]

    virtually(story)


def test_without_a_link_to_the_other_end_the_asker_hears_so() -> None:
    async def story(wires: Wires) -> None:
        wires.missing.add(BERT)
        relay = opened(wires)
        assert "no link" in wires.ended(ANNA)[0]
        assert len(relay) == 0

    virtually(story)


def test_a_link_that_ends_takes_its_tunnels_along() -> None:
    async def story(wires: Wires) -> None:
        relay = opened(wires)
        relay.on_step(EMIL, TunnelStep(Step.OPEN, ANNA, 8))
        wires.missing.add(BERT)
        relay.on_down(BERT)
        assert "lost its link" in wires.ended(ANNA)[0]
        assert len(relay) == 1

    virtually(story)


def test_a_step_of_an_unknown_tunnel_is_answered_unless_it_is_an_end() -> None:
    async def story(wires: Wires) -> None:
        relay = Relay(CONFIG, wires, wires.carry)
        relay.on_step(ANNA, data(BERT))
        assert wires.ended(ANNA) == ["no such tunnel"]
        relay.on_step(BERT, TunnelStep(Step.END, ANNA, 7))
        assert not wires.ended(BERT)

    virtually(story)
