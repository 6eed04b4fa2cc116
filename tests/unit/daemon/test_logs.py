"""What the daemon's log says and does not say."""

import logging
from dataclasses import dataclass

import pytest

from epost.daemon.logs import LoggingObserver
from epost.foundation.errors import DiskFull
from epost.foundation.ids import BlockKind, Handle
from epost.node.observed import BlockDamaged
from epost.past.observed import Equivocated


@dataclass(frozen=True)
class Arrived:
    node: bytes
    hops: int


@dataclass(frozen=True)
class Broke:
    error: Exception


def test_failures_are_warnings_and_ids_are_eight_digits(caplog: pytest.LogCaptureFixture) -> None:
    observer = LoggingObserver()
    with caplog.at_level(logging.DEBUG, logger="epost"):
        observer.record(Arrived(b"\xab" * 20, 3))
        observer.record(Broke(DiskFull("no room")))
    assert [r.levelname for r in caplog.records] == ["DEBUG", "WARNING"]
    assert caplog.messages == ["Arrived node=abababab hops=3", "Broke error=no room"]


def test_alarms_are_warnings_although_nothing_failed(caplog: pytest.LogCaptureFixture) -> None:
    handle = Handle(BlockKind.CONTENT, b"\xcd" * 32)
    with caplog.at_level(logging.INFO, logger="epost"):
        LoggingObserver().record(BlockDamaged(handle))
        LoggingObserver().record(Equivocated(handle, 7, (b"one body", b"another")))
    assert [r.levelname for r in caplog.records] == ["WARNING", "WARNING"]
    assert "body" not in caplog.text


def test_a_flood_of_one_kind_is_counted_and_logged_a_few_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    observer = LoggingObserver()
    with caplog.at_level(logging.INFO, logger="epost"):
        for _ in range(1000):
            observer.record(Broke(DiskFull("no room")))
    assert observer.counts == {"Broke": 1000}
    assert len(caplog.records) == 5


def test_listeners_hear_their_kind_only() -> None:
    observer, heard = LoggingObserver(), []
    observer.listen(Arrived, heard.append)
    observer.record(Broke(DiskFull("x")))
    observer.record(Arrived(b"", 1))
    assert heard == [Arrived(b"", 1)]
