"""Numbers, durations and times in words for people."""

from __future__ import annotations

import datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def count(number: int, one: str, many: str = "") -> str:
    """Return how many there are of something; `many` where an s more is not its plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a duration in the largest unit of which it has two."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return count(round(seconds / size), name)
    return count(round(seconds), "second")


def octets(size_bytes: float) -> str:
    """Return an amount of data, in powers of 1000."""
    for unit in _UNITS[:-1]:
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.0f} {_UNITS[-1]}"


def day(milliseconds: int) -> str:
    """Return the UTC day of a time in ms since 1970."""
    return _moment(milliseconds).date().isoformat()


def minute(milliseconds: int) -> str:
    """Return a time in ms since 1970 to the minute, in local time."""
    return _moment(milliseconds).astimezone().strftime("%Y-%m-%d %H:%M")


def second(milliseconds: int) -> str:
    """Return a time in ms since 1970 to the second, in local time."""
    return _moment(milliseconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _moment(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
