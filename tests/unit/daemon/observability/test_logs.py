"""What the daemon's log says and does not say."""

import json
import logging
from dataclasses import dataclass

import pytest

from epost.daemon.observability.logs import LoggingObserver, logger, start_logging
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


def test_as_json_every_line_is_an_object_with_the_facts_of_its_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handle = Handle(BlockKind.CONTENT, b"\xcd" * 32)
    start_logging("info", as_json=True)
    LoggingObserver().record(Equivocated(handle, 7, (b"one body", b"another")))
    logger.info("the node is up")
    try:
        raise DiskFull("no room")
    except DiskFull:
        logger.exception("it failed")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    start_logging("warning")
    event, text, failure = lines
    assert event["event"] == "Equivocated"
    assert event["facts"] == {"handle": "content:cdcdcdcd", "version": "7"}
    assert (event["level"], event["time"][-1]) == ("warning", "Z")
    assert text["message"] == "the node is up"
    assert "DiskFull" in failure["trace"]


def test_as_text_every_line_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info")
    logger.info("the node is up")
    start_logging("warning")
    assert capsys.readouterr().err.endswith("Z INFO the node is up\n")


def test_every_event_is_given_to_the_counters() -> None:
    counted: list[object] = []
    LoggingObserver(counted.append).record(Arrived(b"", 1))
    assert counted == [Arrived(b"", 1)]
