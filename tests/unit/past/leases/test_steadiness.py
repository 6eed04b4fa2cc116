"""A clock that jumped frees nothing."""

from epost.past.leases.steadiness import JUMP_MS_MAX, SteadyClock

START_MS = 1_800_000_000_000


def test_a_clock_is_steady_after_its_time() -> None:
    clock = SteadyClock(3600.0)
    assert not clock.is_steady(100.0, START_MS, is_sound=True)
    assert not clock.is_steady(3600.0, START_MS + 3_500_000, is_sound=True)
    assert clock.is_steady(3700.0, START_MS + 3_600_000, is_sound=True)


def test_a_jump_in_either_direction_begins_the_wait_anew() -> None:
    for jump_ms in (JUMP_MS_MAX + 1, -JUMP_MS_MAX - 1):
        clock = SteadyClock(3600.0)
        clock.is_steady(0.0, START_MS, is_sound=True)
        assert not clock.is_steady(4000.0, START_MS + 4_000_000 + jump_ms, is_sound=True)
        assert not clock.is_steady(7000.0, START_MS + 7_000_000 + jump_ms, is_sound=True)
        assert clock.is_steady(7600.0, START_MS + 7_600_000 + jump_ms, is_sound=True)


def test_a_clock_that_the_peers_doubt_is_not_steady() -> None:
    clock = SteadyClock(10.0)
    clock.is_steady(0.0, START_MS, is_sound=True)
    assert not clock.is_steady(20.0, START_MS + 20_000, is_sound=False)
    assert not clock.is_steady(21.0, START_MS + 21_000, is_sound=True)
    assert clock.is_steady(31.0, START_MS + 31_000, is_sound=True)
