"""A newcomer walks to a member nearby, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field

from epost.foundation.effects import Outbox, Send
from epost.foundation.ids import NodeHandle
from epost.foundation.wire import unpack
from epost.pastry.approach import DEEPEST, Approach
from epost.pastry.config import APPROACH_STEPS_MAX, PastryConfig
from epost.pastry.messages import PACKET, RowRequest
from epost.pastry.round_trips import RoundTrips
from tests.support.conversation import peer

START, ROW_MATE, NEAR, FAR = peer(0.5), peer(0.502), peer(0.1), peer(0.9)


@dataclass
class Walk:
    trips: RoundTrips = field(default_factory=RoundTrips)
    outbox: Outbox = field(default_factory=Outbox)
    arrived: list[NodeHandle] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.approach = Approach(PastryConfig(), self.outbox, self.trips)

    def measures(self, **seconds: float) -> None:
        for name, trip in seconds.items():
            self.trips.learn(globals()[name].node_id, trip)

    def asked(self) -> list[tuple[NodeHandle, int]]:
        sent = [e for e in self.outbox.drain() if isinstance(e, Send)]
        packets = [(e.to, PACKET.decode(unpack(e.message).body)) for e in sent]
        return [(to, packet.row) for to, packet in packets if isinstance(packet, RowRequest)]

    def goes_on(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.approach.advance(self.now, lambda node, now: self.arrived.append(node))


def test_it_goes_from_the_deepest_row_up_to_the_nearest_and_ends_when_nobody_is_nearer() -> None:
    walk = Walk()
    walk.measures(START=0.3, ROW_MATE=0.2, NEAR=0.1, FAR=0.4)
    walk.approach.begin(START, 0.0)
    assert walk.asked() == [(START, DEEPEST)]
    walk.approach.on_hints(START, [ROW_MATE], 0.0)
    walk.goes_on()
    assert walk.asked() == [(ROW_MATE, 1)]
    walk.approach.on_hints(ROW_MATE, [START], 0.0)
    walk.goes_on()
    assert walk.asked() == [(ROW_MATE, 0)]
    walk.approach.on_hints(ROW_MATE, [FAR, NEAR], 0.0)
    walk.goes_on()
    assert walk.asked() == [(NEAR, 0)]
    walk.approach.on_hints(NEAR, [ROW_MATE], 0.0)
    walk.goes_on()
    assert walk.arrived == [NEAR]
    assert not walk.approach.is_under_way


def test_it_waits_for_who_was_not_measured_but_not_for_long() -> None:
    walk = Walk()
    walk.measures(START=0.3, ROW_MATE=0.2)
    walk.approach.begin(START, 0.0)
    walk.approach.on_hints(START, [ROW_MATE, FAR], 0.0)
    walk.goes_on()
    assert walk.asked() == [(START, DEEPEST)]
    walk.goes_on(1.0)
    assert walk.asked()[0][0] == ROW_MATE


def test_a_member_that_knows_nobody_or_keeps_silent_is_near_enough() -> None:
    for hints in (True, False):
        walk = Walk()
        walk.approach.begin(START, 0.0)
        if hints:
            walk.approach.on_hints(START, [], 0.0)
        walk.goes_on(0.0 if hints else 1.0)
        assert walk.arrived == [START]


def test_hints_of_others_do_not_lead_it_astray() -> None:
    walk = Walk()
    walk.approach.on_hints(START, [NEAR], 0.0)
    walk.goes_on()
    walk.approach.begin(START, 0.0)
    walk.approach.on_hints(FAR, [NEAR], 0.0)
    walk.goes_on()
    assert walk.arrived == []


def test_its_steps_are_bounded() -> None:
    walk = Walk()
    at = START
    walk.approach.begin(START, 0.0)
    for step in range(1, APPROACH_STEPS_MAX + 1):
        following = peer(0.1 + step / 100)
        walk.trips.learn(following.node_id, 1.0 / step)
        walk.approach.on_hints(at, [following], 0.0)
        walk.goes_on()
        at = following
    assert walk.arrived == [at]
