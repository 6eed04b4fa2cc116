from epost.foundation.effects import Outbox, Send
from epost.foundation.ids import NodeHandle
from epost.foundation.wire import Application
from epost.pastry import hops as hops_module
from epost.pastry.config import PastryConfig
from epost.pastry.hops import Hops, Journey
from epost.pastry.messages import PACKET, Transit
from epost.pastry.round_trips import RoundTrips
from tests.support.conversation import peer, spot
from tests.support.ring import SeededEntropy


def journey(body: bytes = b"") -> Journey:
    return Journey(b"m" * 16, peer(0.1), spot(0.2), Application.PAST, 0, body)


class Bench:
    def __init__(self, seed: int = 1) -> None:
        self.outbox = Outbox()
        self.trips = RoundTrips()
        self.hops = Hops(PastryConfig(hop_tries=2), self.outbox, SeededEntropy(seed), self.trips)

    def sent(self) -> list[tuple[NodeHandle, Transit]]:
        packets = [
            (effect.to, PACKET.decode(effect.message[2:]))
            for effect in self.outbox.drain()
            if isinstance(effect, Send)
        ]
        return [(to, packet) for to, packet in packets if isinstance(packet, Transit)]


def test_an_acknowledged_transmission_is_forgotten() -> None:
    bench = Bench()
    bench.hops.send(journey(), peer(0.3), 0.0)
    ((to, transit),) = bench.sent()
    assert to == peer(0.3)
    assert transit.hops == 1
    bench.hops.on_ack(peer(0.3), transit.hop, 0.5)
    assert list(bench.hops.take_failed(9.0)) == []
    bench.hops.on_ack(peer(0.3), transit.hop, 0.5)


def test_only_the_receiver_can_acknowledge() -> None:
    bench = Bench()
    bench.hops.send(journey(), peer(0.3), 0.0)
    ((_, transit),) = bench.sent()
    bench.hops.on_ack(peer(0.4), transit.hop, 0.5)
    assert list(bench.hops.take_failed(1.0)) == []
    assert len(bench.sent()) == 1


def test_a_silent_hop_gives_the_message_back_after_its_tries() -> None:
    bench = Bench()
    message = journey()
    bench.hops.send(message, peer(0.3), 0.0)
    assert list(bench.hops.take_failed(1.0)) == []
    first, second = bench.sent()
    assert first == second
    assert list(bench.hops.take_failed(2.0)) == [(peer(0.3), message)]


def test_what_is_not_due_waits() -> None:
    bench = Bench()
    bench.hops.send(journey(), peer(0.3), 0.0)
    bench.hops.send(journey(), peer(0.4), 0.9)
    bench.hops.take_failed(1.0)
    assert [to for to, _ in bench.sent()] == [peer(0.3), peer(0.4), peer(0.3)]


def test_flights_to_an_unreachable_node_come_back_at_once() -> None:
    bench = Bench()
    message = journey()
    bench.hops.send(message, peer(0.3), 0.0)
    bench.hops.send(journey(), peer(0.4), 0.0)
    assert list(bench.hops.take_for(spot(0.3))) == [(peer(0.3), message)]
    assert list(bench.hops.take_for(spot(0.3))) == []


def test_the_room_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(hops_module, "IN_FLIGHT_MAX", 2)
    bench = Bench()
    for _ in range(2):
        assert bench.hops.has_room
        bench.hops.send(journey(), peer(0.3), 0.0)
    assert not bench.hops.has_room


def test_hop_ids_of_another_life_differ() -> None:
    one, other = Bench(1), Bench(2)
    for bench in (one, other):
        bench.hops.send(journey(), peer(0.3), 0.0)
    assert one.sent()[0][1].hop != other.sent()[0][1].hop
