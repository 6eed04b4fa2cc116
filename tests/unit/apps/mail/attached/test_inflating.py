"""Compressed data of strangers."""

from __future__ import annotations

import random
import zlib

from epost.apps.mail.attached.inflating import Budget


def deflated(content: bytes) -> bytes:
    """Raw DEFLATE data (RFC 1951)."""
    return zlib.compress(content, wbits=-15)


def test_data_end_where_they_say_and_not_later() -> None:
    data = deflated(b"hello") + b"x" * 1_000_000
    budget = Budget(100)
    assert budget.inflated(memoryview(data)) == b"hello"
    assert not budget.is_spent


def test_what_is_broken_is_read_up_to_there() -> None:
    data = deflated(random.Random(1).randbytes(300_000))
    damaged = memoryview(data[:200_000] + b"\xff" * 50_000)
    assert len(Budget(10**6).inflated(damaged)) > 100_000
    assert Budget(10**6).inflated(memoryview(b"nothing of this kind")) == b""


def test_no_more_is_made_than_the_budget_allows() -> None:
    data, budget = memoryview(deflated(b"\0" * 10_000_000)), Budget(1_000_000)
    assert len(budget.inflated(data)) <= 1_000_000
    assert budget.is_spent
    assert budget.inflated(data) == b""
    assert budget.plain(memoryview(b"abc")) == b""


def test_reading_counts_as_well() -> None:
    nothing = memoryview(b"\0\0\0\xff\xff" * 1000)
    budget = Budget(10_000)
    reads = 0
    while not budget.is_spent:
        assert budget.inflated(nothing) == b""
        reads += 1
    assert reads == 2
