"""How long to wait for whom."""

from epost.pastry.config import ROUND_TRIPS_MAX
from epost.pastry.round_trips import RoundTrips
from tests.support.conversation import spot


def test_who_was_never_measured_is_waited_for_as_usual() -> None:
    assert RoundTrips().patience(spot(0.1), 1.0) == 1.0
    assert RoundTrips().of(spot(0.1)) is None


def test_patience_follows_the_round_trip_within_bounds() -> None:
    trips = RoundTrips()
    trips.learn(spot(0.1), 0.001)
    assert trips.patience(spot(0.1), 1.0) == 0.5
    trips.learn(spot(0.2), 0.4)
    assert 1.0 < trips.patience(spot(0.2), 1.0) < 1.5
    trips.learn(spot(0.3), 9.0)
    assert trips.patience(spot(0.3), 1.0) == 4.0


def test_steady_answers_make_the_deviation_small() -> None:
    trips = RoundTrips()
    for _ in range(40):
        trips.learn(spot(0.1), 0.6)
    assert 0.6 <= trips.patience(spot(0.1), 1.0) < 0.61


def test_only_the_nodes_measured_last_are_remembered() -> None:
    trips = RoundTrips()
    for name in range(ROUND_TRIPS_MAX + 1):
        trips.learn(name.to_bytes(20, "big"), 0.1)
    assert trips.of(bytes(20)) is None
    assert trips.of((1).to_bytes(20, "big")) == 0.1
