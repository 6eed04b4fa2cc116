"""One key gets so many at once, then a few a second."""

from epost.foundation.rates import Rates

ANN, BEN = b"a" * 20, b"b" * 20


def test_a_burst_is_given_and_then_so_many_a_second_to_each() -> None:
    rates: Rates[bytes] = Rates(per_second=2.0, burst=3, keys_max=10)
    assert [rates.try_take(ANN, 1.0) for _ in range(4)] == [True, True, True, False]
    assert rates.try_take(BEN, 1.0)
    assert [rates.try_take(ANN, 2.0) for _ in range(3)] == [True, True, False]


def test_what_was_not_used_is_kept_up_to_the_burst() -> None:
    rates: Rates[bytes] = Rates(per_second=2.0, burst=3, keys_max=10)
    assert rates.try_take(ANN, 1.0)
    assert [rates.try_take(ANN, 1000.0) for _ in range(4)] == [True, True, True, False]


def test_who_asked_least_lately_is_forgotten() -> None:
    rates: Rates[bytes] = Rates(per_second=1.0, burst=1, keys_max=2)
    for node in (ANN, BEN, ANN, b"c" * 20):
        rates.try_take(node, 1.0)
    assert len(rates) == 2
    assert not rates.try_take(ANN, 1.0)
    assert rates.try_take(BEN, 1.0)
