"""The daemon's log: one line per event with ids as 8 hex digits; never plaintext, keys or names.

As text for people, or as one JSON object per line: time, level, event and its facts.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

from epost.node.observed import BlockDamaged, CertifiedLogAlarm, OrganisationSecretFalse
from epost.past.observed import CopyingPaused, Equivocated, ReplicaWentBack
from epost.post.observed import DeviceExistsTwice

T = TypeVar("T")

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
REPEATS_LOGGED_MAX = 5
REPEAT_WINDOW_SECONDS = 60.0
KINDS_REMEMBERED_MAX = 1000
VALUE_LENGTH_MAX = 200
ALARMS = (
    BlockDamaged,
    CertifiedLogAlarm,
    CopyingPaused,
    DeviceExistsTwice,
    Equivocated,
    OrganisationSecretFalse,
    ReplicaWentBack,
)
"""What its operator should know although the daemon helps itself; besides whatever failed."""

TEXT_FORMAT = "%(asctime)sZ %(levelname)s %(message)s"

logger = logging.getLogger("epost")


def start_logging(level: str, *, as_json: bool = False) -> None:
    """Log to standard error, in UTC; whoever runs the daemon decides where that goes."""
    formatter = JsonFormatter() if as_json else logging.Formatter(TEXT_FORMAT)
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)


class JsonFormatter(logging.Formatter):
    """One JSON object per line; what is no event has its text as `message`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", self.converter(record.created))
        line: dict[str, Any] = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
        }
        event = getattr(record, "event", None)
        if event is None:
            line["message"] = record.getMessage()
        else:
            line["event"] = type(event).__name__
            line["facts"] = dict(_facts(event))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


class LoggingObserver:
    """The daemon's Observer: counts every kind of event and logs it, a few of a kind a minute."""

    def __init__(self, count: Callable[[object], None] | None = None) -> None:
        """`count` is told of every event, too."""
        self._count = count
        self.counts: dict[str, int] = {}
        self._recent: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._listeners: dict[type, list[Callable[[Any], None]]] = {}

    def listen(self, kind: type[T], listener: Callable[[T], None]) -> None:
        """Call `listener` for every event of a kind; it must not raise nor keep the caller."""
        self._listeners.setdefault(kind, []).append(listener)

    def record(self, event: object) -> None:
        """Count and log; a flood of one kind is counted only."""
        for listener in self._listeners.get(type(event), ()):
            listener(event)
        if self._count is not None:
            self._count(event)
        kind = type(event).__name__
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if logger.isEnabledFor(logging.DEBUG) or self._is_news(kind):
            facts = " ".join(f"{name}={value}" for name, value in _facts(event))
            logger.log(_level(event), "%s %s", kind, facts, extra={"event": event})

    def _is_news(self, kind: str) -> bool:
        now = time.monotonic()
        since, count = self._recent.get(kind, (-math.inf, 0))
        if now - since > REPEAT_WINDOW_SECONDS:
            self._recent.pop(kind, None)
            since, count = now, 0
        if count < REPEATS_LOGGED_MAX:
            self._recent[kind] = (since, count + 1)
        while len(self._recent) > KINDS_REMEMBERED_MAX:
            self._recent.popitem(last=False)
        return count < REPEATS_LOGGED_MAX


def _level(event: object) -> int:
    if isinstance(event, ALARMS):
        return logging.WARNING
    failed = any(isinstance(getattr(event, f.name, None), BaseException) for f in _fields(event))
    return logging.WARNING if failed else logging.DEBUG


def _facts(event: object) -> Sequence[tuple[str, str]]:
    shown = (f for f in _fields(event) if f.repr)
    return [(f.name, _show(getattr(event, f.name))) for f in shown]


def _fields(event: object) -> tuple[Field[object], ...]:
    return fields(event) if is_dataclass(event) and not isinstance(event, type) else ()


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return value[:4].hex()
    return str(value)[:VALUE_LENGTH_MAX]
