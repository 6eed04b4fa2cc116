"""One TLS connection inside a tunnel: credit, pauses, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from epost.daemon.tls.contexts import accepting_context, dialling_context
from epost.daemon.tls.relay_frames import TUNNEL_WINDOW_BYTES, Step, TunnelStep, Way
from epost.daemon.tls.relayed_link import RelayedLink
from epost.foundation.errors import Unreachable
from epost.foundation.ids import NodeId
from tests.support.tls import Ring, node_id, run

ANNA, BERT, CARL = node_id(1), node_id(2), node_id(3)


@dataclass
class Reader:
    """Takes all bytes of a link."""

    link: RelayedLink
    got: bytearray = field(default_factory=bytearray)
    lost: list[str] = field(default_factory=list)
    congestion: list[bool] = field(default_factory=list)

    def on_bytes(self, view: memoryview) -> int:
        self.got += view
        return len(view)

    def on_congested(self, congested: bool) -> None:
        self.congestion.append(congested)

    def on_lost(self, text: str) -> None:
        self.lost.append(text)


class Tunnel:
    """Two ends, and a relay that passes steps on in the next turn of the loop."""

    def __init__(self) -> None:
        ring = Ring()
        self.steps: list[TunnelStep] = []
        self.closed: list[RelayedLink] = []
        contexts = dialling_context(ring.identity(1)), accepting_context(ring.identity(2))
        self.anna = RelayedLink(
            Way(CARL, BERT, 7), contexts[0], self._to_bert, self.closed.append, opened_by_us=True
        )
        self.bert = RelayedLink(
            Way(CARL, ANNA, 7), contexts[1], self._to_anna, self.closed.append, opened_by_us=False
        )
        self.at_anna, self.at_bert = Reader(self.anna), Reader(self.bert)

    async def secure(self) -> None:
        self.anna.begin()
        await self.anna.secured
        await self.bert.secured
        self.anna.attach(self.at_anna)
        self.bert.attach(self.at_bert)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0)

    def _to_bert(self, relay: NodeId, step: TunnelStep) -> None:
        self._pass(relay, step, self.bert)

    def _to_anna(self, relay: NodeId, step: TunnelStep) -> None:
        self._pass(relay, step, self.anna)

    def _pass(self, relay: NodeId, step: TunnelStep, end: RelayedLink) -> None:
        assert relay == CARL
        self.steps.append(step)
        act: dict[Step, Callable[[], None]] = {
            Step.OPEN: lambda: None,
            Step.DATA: lambda: end.on_data(step.data),
            Step.CREDIT: lambda: end.on_credit(step.credit),
            Step.END: lambda: end.on_end(step.data.decode()),
        }
        asyncio.get_running_loop().call_soon(act[step.step])


def through(story: Callable[[Tunnel], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        tunnel = Tunnel()
        await tunnel.secure()
        await story(tunnel)

    run(whole())


def test_both_ends_know_the_other_by_its_certificate() -> None:
    async def story(tunnel: Tunnel) -> None:
        ring = Ring()
        assert tunnel.anna.leaf == ring.leaf(2)
        assert tunnel.bert.leaf == ring.leaf(1)

    through(story)


def test_more_than_the_window_waits_for_credit_and_arrives() -> None:
    async def story(tunnel: Tunnel) -> None:
        sent = bytes(range(256)) * (4 * TUNNEL_WINDOW_BYTES // 256)
        tunnel.anna.write(sent)
        assert sum(len(s.data) for s in tunnel.steps if s.step is Step.DATA) < len(sent)
        assert tunnel.at_anna.congestion == [True]
        while len(tunnel.at_bert.got) < len(sent):
            await asyncio.sleep(0)
        assert bytes(tunnel.at_bert.got) == sent
        assert tunnel.at_anna.congestion == [True, False]

    through(story)


def test_an_end_that_reads_nothing_is_sent_no_more_than_the_window() -> None:
    async def story(tunnel: Tunnel) -> None:
        tunnel.bert.pause_reading()
        before = sum(len(step.data) for step in tunnel.steps)
        tunnel.anna.write(bytes(3 * TUNNEL_WINDOW_BYTES))
        await tunnel.settle()
        assert sum(len(s.data) for s in tunnel.steps) - before <= TUNNEL_WINDOW_BYTES
        assert not tunnel.at_bert.got
        tunnel.bert.resume_reading()
        while len(tunnel.at_bert.got) < 3 * TUNNEL_WINDOW_BYTES:
            await asyncio.sleep(0)

    through(story)


def test_data_beyond_the_credit_ends_the_link() -> None:
    async def story(tunnel: Tunnel) -> None:
        tunnel.bert.pause_reading()
        for _ in range(TUNNEL_WINDOW_BYTES // 16384 + 1):
            tunnel.bert.on_data(bytes(16384))
        await tunnel.settle()
        assert tunnel.at_bert.lost == ["more than there was credit for"]
        assert tunnel.at_anna.lost == ["more than there was credit for"]
        assert tunnel.closed == [tunnel.bert, tunnel.anna]

    through(story)


def test_credit_that_was_never_spent_ends_the_link() -> None:
    async def story(tunnel: Tunnel) -> None:
        tunnel.anna.on_credit(TUNNEL_WINDOW_BYTES)
        await tunnel.settle()
        assert tunnel.at_anna.lost == ["more credit than the window"]

    through(story)


def test_a_link_that_is_over_stays_so() -> None:
    async def story(tunnel: Tunnel) -> None:
        tunnel.anna.close()
        tunnel.anna.abort()
        tunnel.anna.write(b"too late")
        tunnel.anna.on_data(b"too late")
        late = Reader(tunnel.anna)
        tunnel.anna.attach(late)
        await tunnel.settle()
        assert tunnel.at_bert.lost == ["closed"]
        assert late.lost == ["closed"]
        assert [step.step for step in tunnel.steps].count(Step.END) == 1

    through(story)


def test_an_end_before_the_handshake_is_done_says_why() -> None:
    async def story() -> None:
        tunnel = Tunnel()
        tunnel.anna.begin()
        tunnel.anna.on_end("the relay has too many pairs")
        with pytest.raises(Unreachable, match="too many pairs"):
            await tunnel.anna.secured
        assert replace(tunnel.steps[0], data=b"") == TunnelStep(Step.OPEN, BERT, 7)

    run(story())
