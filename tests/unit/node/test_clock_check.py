"""The own wall clock beside the peers': what a jump of it shows, and what it dates."""

from __future__ import annotations

import pytest

from epost.foundation.ids import NodeId
from epost.node.clock_check import ClockCheck

BEGUN_MS = 1_800_000_000_000
MINUTE_MS = 60 * 1000
HOUR_MS = 60 * MINUTE_MS


class Clock:
    """A machine's clocks, set by the test."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.ahead_ms = 0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return BEGUN_MS + round(1000 * self.seconds) + self.ahead_ms


def checked(peers: int) -> tuple[ClockCheck, Clock]:
    """A check that heard the right time from so many peers, an hour ago."""
    clock = Clock()
    check = ClockCheck(clock)
    for number in range(peers):
        check.on_peer_clock(NodeId(bytes([number]) * 16), clock.wall_ms())
    clock.seconds += 3600
    return check, clock


@pytest.mark.parametrize("ahead_ms", [0, 4 * MINUTE_MS, -HOUR_MS, -30 * HOUR_MS])
def test_a_clock_that_is_not_ahead_dates_what_is_sent(ahead_ms: int) -> None:
    check, clock = checked(3)
    clock.ahead_ms = ahead_ms
    assert check.sending_ms() == clock.wall_ms()


@pytest.mark.parametrize("ahead_ms", [6 * MINUTE_MS, 24 * HOUR_MS, -6 * MINUTE_MS, -HOUR_MS])
def test_what_is_to_be_of_now_for_others_is_dated_by_their_clocks(ahead_ms: int) -> None:
    check, clock = checked(3)
    right_ms = clock.wall_ms()
    clock.ahead_ms = ahead_ms
    assert check.agreed_ms() == right_ms


@pytest.mark.parametrize("ahead_ms", [4 * MINUTE_MS, -4 * MINUTE_MS])
def test_a_few_minutes_are_nobodys_business(ahead_ms: int) -> None:
    check, clock = checked(3)
    clock.ahead_ms = ahead_ms
    assert check.agreed_ms() == clock.wall_ms()


@pytest.mark.parametrize("ahead_ms", [6 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS])
def test_a_clock_that_jumped_ahead_does_not(ahead_ms: int) -> None:
    check, clock = checked(3)
    right_ms = clock.wall_ms()
    clock.ahead_ms = ahead_ms
    assert check.sending_ms() == right_ms


def test_a_jump_shows_without_a_new_word_of_any_peer() -> None:
    check, clock = checked(3)
    assert check.is_sound()
    clock.ahead_ms = 2 * HOUR_MS
    assert not check.is_sound()
    clock.ahead_ms = -2 * HOUR_MS
    assert not check.is_sound()
    clock.ahead_ms = 0
    assert check.is_sound()


def test_two_peers_and_one_liar_among_four_are_not_believed() -> None:
    check, clock = checked(2)
    clock.ahead_ms = 5 * HOUR_MS
    assert check.is_sound()
    assert check.sending_ms() == clock.wall_ms()
    check, clock = checked(3)
    check.on_peer_clock(NodeId(b"l" * 16), clock.wall_ms() - 9 * HOUR_MS)
    assert check.is_sound()
    assert check.sending_ms() == clock.wall_ms()


def test_only_the_newest_word_of_a_peer_counts_and_few_are_kept() -> None:
    check, clock = checked(3)
    for number in range(3):
        check.on_peer_clock(NodeId(bytes([number]) * 16), clock.wall_ms() + 3 * HOUR_MS)
    assert not check.is_sound()
    for number in range(100):
        check.on_peer_clock(NodeId(bytes([number]) * 16), clock.wall_ms())
    assert check.is_sound()
