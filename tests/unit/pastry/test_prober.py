from epost.foundation.effects import Outbox, Send, SetTimer
from epost.foundation.ids import NodeHandle
from epost.pastry.config import PROBES_MAX, TABLE_PROBES_MAX, PastryConfig
from epost.pastry.prober import Prober, Reason
from epost.pastry.round_trips import RoundTrips
from tests.support.conversation import peer, spot
from tests.support.ring import SeededEntropy


class Bench:
    def __init__(self) -> None:
        self.outbox = Outbox()
        self.trips = RoundTrips()
        self.prober = Prober(
            PastryConfig(),
            self.outbox,
            SeededEntropy(1),
            lambda reason, nonce: reason.name.encode(),
            self.trips,
        )

    def sent(self) -> list[tuple[NodeHandle, bytes]]:
        return [(e.to, e.message[2:]) for e in self.outbox.drain() if isinstance(e, Send)]

    def silent(self, now: float, *, heard: bool = False) -> list[NodeHandle]:
        probes = self.prober.take_silent(lambda node_id, time: heard, now)
        return [probe.node for probe in probes]


def test_a_node_that_never_answers_is_silent_after_its_tries() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.SUSPECTED, 0.0)
    assert bench.silent(0.9) == []
    assert len(bench.sent()) == 1
    assert bench.silent(1.0) == bench.silent(2.0) == []
    assert len(bench.sent()) == 2
    assert bench.silent(3.0) == [peer(0.1)]
    assert bench.prober.get(spot(0.1)) is None


def test_an_answer_ends_the_probe_if_it_fits() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.ROUTINE, 0.0)
    probe = bench.prober.get(spot(0.1))
    assert probe is not None
    assert bench.prober.answered(spot(0.1), probe.nonce + 1, 0.5) is None
    assert bench.prober.answered(spot(0.2), probe.nonce, 0.5) is None
    assert bench.prober.answered(spot(0.1), probe.nonce, 0.5) is probe
    assert bench.silent(9.0) == []


def test_a_node_is_asked_once_at_a_time_and_for_the_greater_reason() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.ROUTINE, 0.0)
    bench.prober.probe(peer(0.1), Reason.SUSPECTED, 0.1)
    bench.prober.probe(peer(0.1), Reason.CANDIDATE, 0.1)
    assert bench.sent() == [(peer(0.1), b"ROUTINE")]
    assert bench.prober.is_out_for(Reason.SUSPECTED)
    assert not bench.prober.is_out_for(Reason.ROUTINE, Reason.CANDIDATE)


def test_a_ping_for_the_table_becomes_a_leaf_set_probe_when_needed() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.TABLE, 0.0)
    bench.prober.probe(peer(0.1), Reason.CANDIDATE, 0.1)
    assert bench.sent() == [(peer(0.1), b"TABLE"), (peer(0.1), b"CANDIDATE")]


def test_the_answer_to_a_ping_does_not_answer_the_probe_it_became() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.TABLE, 0.0)
    ping = bench.prober.get(spot(0.1))
    assert ping is not None
    nonce = ping.nonce
    bench.prober.probe(peer(0.1), Reason.CANDIDATE, 0.1)
    assert bench.prober.answered(spot(0.1), nonce, 0.5) is None
    assert bench.prober.is_out_for(Reason.CANDIDATE)


def test_suspicion_begins_with_a_reason_or_a_missed_answer() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.SUSPECTED, 0.0)
    bench.prober.probe(peer(0.2), Reason.ROUTINE, 0.0)
    assert bench.prober.is_suspected(spot(0.1))
    assert not bench.prober.is_suspected(spot(0.2))
    bench.silent(1.0)
    assert bench.prober.is_suspected(spot(0.2))
    assert not bench.prober.is_suspected(spot(0.3))


def test_any_word_of_a_node_clears_it_but_the_question_stays() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.SUSPECTED, 0.0)
    assert bench.prober.on_heard(peer(0.1, port=5000))
    assert not bench.prober.is_suspected(spot(0.1))
    assert not bench.prober.on_heard(peer(0.1, port=5000))
    assert not bench.prober.on_heard(peer(0.2))
    bench.sent()
    bench.silent(1.0)
    assert bench.sent() == [(peer(0.1, port=5000), b"ROUTINE")]


def test_a_candidate_that_speaks_stays_one() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.CANDIDATE, 0.0)
    bench.silent(1.0)
    assert bench.prober.on_heard(peer(0.1))
    assert bench.prober.is_out_for(Reason.CANDIDATE)


def test_a_node_heard_meanwhile_is_asked_afresh_instead_of_condemned() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.ROUTINE, 0.0)
    for now in (1.0, 2.0):
        bench.silent(now)
    assert bench.silent(3.0, heard=True) == []
    probe = bench.prober.get(spot(0.1))
    assert probe is not None
    assert (probe.tries, probe.began_at) == (1, 3.0)


def test_the_number_of_probes_is_bounded_but_never_for_suspects() -> None:
    bench = Bench()
    for number in range(PROBES_MAX + 1):
        bench.prober.probe(peer(number / 1000), Reason.TABLE, 0.0)
    assert len(bench.sent()) == TABLE_PROBES_MAX
    for number in range(PROBES_MAX + 1):
        bench.prober.probe(peer(0.5 + number / 1000), Reason.CANDIDATE, 0.0)
    assert len(bench.sent()) == PROBES_MAX - TABLE_PROBES_MAX
    bench.prober.probe(peer(0.9), Reason.SUSPECTED, 0.0)
    assert len(bench.sent()) == 1


def test_withdrawn_and_cleared_probes_are_forgotten() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.ROUTINE, 0.0)
    bench.prober.probe(peer(0.2), Reason.ROUTINE, 0.0)
    assert bench.prober.withdraw(spot(0.1))
    assert not bench.prober.withdraw(spot(0.1))
    assert [probe.node for probe in bench.prober.clear()] == [peer(0.2)]
    assert bench.silent(9.0) == []


def test_the_timer_follows_the_earliest_deadline() -> None:
    bench = Bench()
    bench.prober.probe(peer(0.1), Reason.ROUTINE, 0.0)
    bench.prober.probe(peer(0.2), Reason.ROUTINE, 0.5)
    bench.outbox.drain()
    bench.silent(1.0)
    delays = [e.delay_seconds for e in bench.outbox.drain() if isinstance(e, SetTimer)]
    assert min(delays) == 0.5
