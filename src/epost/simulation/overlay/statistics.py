"""How sure a measured figure is: means and shares with 95 % confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

Z = 1.959964
"""Standard deviations on either side that hold 95 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the half width of its 95 % interval (low and high if it is not symmetric)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


class Mean:
    """The mean of independent samples, taken one by one (Welford)."""

    def __init__(self, samples: Iterable[float] = ()) -> None:
        self.count = 0
        self._mean = 0.0
        self._squares = 0.0
        for sample in samples:
            self.add(sample)

    def add(self, sample: float) -> None:
        """Take one sample."""
        self.count += 1
        deviation = sample - self._mean
        self._mean += deviation / self.count
        self._squares += deviation * (sample - self._mean)

    def merge(self, other: Mean) -> None:
        """Take over the samples of another mean (Chan's formula)."""
        count = self.count + other.count
        if not other.count:
            return
        deviation = other._mean - self._mean
        self._squares += other._squares + deviation**2 * self.count * other.count / count
        self._mean += deviation * other.count / count
        self.count = count

    @property
    def value(self) -> float:
        """The mean so far; 0 of nothing."""
        return self._mean

    def estimate(self) -> Estimate:
        """Return the mean with its interval by the normal approximation."""
        variance = self._squares / (self.count - 1) if self.count > 1 else 0.0
        half = Z * sqrt(variance / self.count) if self.count else 0.0
        return Estimate(self._mean, self._mean - half, self._mean + half)


class Ratio:
    """The ratio of two sums over independent pairs, as delay stretch is published."""

    def __init__(self) -> None:
        self._pairs: list[tuple[float, float]] = []

    def add(self, above: float, below: float) -> None:
        """Take one pair."""
        self._pairs.append((above, below))

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return len(self._pairs)

    def estimate(self) -> Estimate:
        """Return the ratio of the sums; the interval is by linearisation (delta method)."""
        total = sum(below for _, below in self._pairs)
        ratio = sum(above for above, _ in self._pairs) / total
        squares = sum((above - ratio * below) ** 2 for above, below in self._pairs)
        half = Z * sqrt(squares) / total
        return Estimate(ratio, ratio - half, ratio + half)


def share(hits: int, trials: int) -> Estimate:
    """Return hits of trials with Wilson's interval, which is honest near 0 and 1."""
    part = hits / trials
    middle = (part + Z * Z / (2 * trials)) / (1 + Z * Z / trials)
    half = (
        Z / (1 + Z * Z / trials) * sqrt(part * (1 - part) / trials + Z * Z / (4 * trials * trials))
    )
    low = middle - half if hits else 0.0
    high = middle + half if hits < trials else 1.0
    return Estimate(part, low, high)


def exactly(value: float) -> Estimate:
    """Return a figure that was counted, not sampled."""
    return Estimate(value, value, value)


def ratio_of(above: Estimate, below: float) -> Estimate:
    """Return an estimate as a multiple of a value, whose own error is left out."""
    return Estimate(above.value / below, above.low / below, above.high / below)
