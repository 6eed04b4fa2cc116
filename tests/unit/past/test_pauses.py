"""A neighbour is compared with ever more rarely while nothing new is found."""

from epost.foundation.ids import NodeHandle
from epost.past.comparing import RoundDone
from epost.past.config import PastConfig
from epost.past.pauses import Pauses

PEER = NodeHandle(bytes(20), b"p" * 20, ())
CONFIG = PastConfig(maintenance_interval_seconds=800.0, recheck_seconds=10.0)


def done(missing: int = 0, lacking: int = 0) -> RoundDone:
    return RoundDone(PEER, (), missing, lacking)


def test_pauses_grow_to_the_interval_while_nothing_differs() -> None:
    pauses = Pauses(CONFIG)
    assert [pauses.after(done()) for _ in range(5)] == [100.0, 200.0, 400.0, 800.0, 800.0]


def test_a_difference_is_looked_at_soon_and_later_if_it_stays_the_same() -> None:
    pauses = Pauses(CONFIG)
    waits = [pauses.after(done(missing=3)) for _ in range(6)]
    assert waits == [10.0, 10.0, 10.0, 10.0, 10.0, 12.5]
    assert pauses.after(done(missing=2)) == 10.0
    assert pauses.after(done()) == 100.0
    assert pauses.after(done(lacking=1)) == 10.0


def test_that_a_difference_is_settled_is_known_after_a_quarter_more_of_the_time_it_took() -> None:
    pauses = Pauses(CONFIG)
    waited = 0.0
    for _ in range(40):
        pause = pauses.after(done(lacking=2))
        assert pause <= max(CONFIG.recheck_seconds, waited / 4)
        waited += pause
    assert pause == CONFIG.maintenance_interval_seconds


def test_after_a_change_of_the_neighbour_it_begins_anew() -> None:
    pauses = Pauses(CONFIG)
    for _ in range(4):
        pauses.after(done())
    pauses.forget({PEER.id})
    assert pauses.after(done()) == 100.0
