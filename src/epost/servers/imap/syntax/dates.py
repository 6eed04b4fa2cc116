"""Dates and times on the wire (RFC 3501 date, date-time)."""

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

from epost.apps.mail.mailbox import MailTime
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.upper().encode(): number for number, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) '
    rb'([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400


def day(cursor: Cursor) -> int:
    """Take a date; returned as days since 1970-01-01."""
    match = cursor.groups(_DATE, "Date")
    month = _month(match[3])
    try:
        return date(int(match[4]), month, int(match[2])).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise ImapSyntaxError("There is no such date") from error


def date_time(cursor: Cursor) -> MailTime:
    """Take a quoted date-time."""
    match = cursor.groups(_DATE_TIME, "Date and time")
    month = _month(match[2])
    zone_minutes = int(match[8]) * 60 + int(match[9])
    if match[7] == b"-":
        zone_minutes = -zone_minutes
    try:
        moment = datetime(
            int(match[3]),
            month,
            int(match[1]),
            int(match[4]),
            int(match[5]),
            min(int(match[6]), 59),  # a leap second is the second before
            tzinfo=timezone(timedelta(minutes=zone_minutes)),
        )
        return MailTime(round(moment.timestamp()), zone_minutes)
    except (ValueError, OverflowError) as error:
        raise ImapSyntaxError("There is no such date or time") from error


_TWO_DIGITS = [b"%02d" % number for number in range(60)]


def local_day(moment: MailTime) -> int:
    """Days since 1970-01-01 as somebody in the moment's zone would say."""
    return (moment.seconds + moment.zone_minutes * 60) // _DAY_SECONDS


def format_date_time(moment: MailTime) -> bytes:
    """A quoted date-time; the day is padded with a space."""
    return next(format_date_times((moment.seconds,), (moment.zone_minutes,)))


def format_date_times(seconds: Iterable[int], zones: Iterable[int]) -> Iterator[bytes]:
    """Many of them, by columns: there are as many as a folder has messages."""
    format_day, format_zone, two = _format_day, _format_zone, _TWO_DIGITS
    for moment, zone in zip(seconds, zones, strict=True):
        minute, second = divmod(moment, 60)
        hour, minute = divmod(minute + zone, 60)
        day, hour = divmod(hour, 24)
        clock = format_day(day), two[hour], two[minute], two[second], format_zone(zone)
        yield b'"%b %b:%b:%b %b"' % clock


@lru_cache(maxsize=64)
def _format_zone(minutes: int) -> bytes:
    hours, rest = divmod(abs(minutes), 60)
    return b"%b%02d%02d" % (b"-" if minutes < 0 else b"+", hours, rest)


@lru_cache(maxsize=4096)
def _format_day(days: int) -> bytes:
    # What lies beyond the calendar (a mail may claim anything) shows as its nearest day.
    ordinal = min(max(days + _EPOCH_DAY, 1), date.max.toordinal())
    shown = date.fromordinal(ordinal)
    return b"%2d-%b-%04d" % (shown.day, _MONTHS[shown.month - 1].encode(), shown.year)


def _month(name: bytes) -> int:
    number = _MONTH_NUMBERS.get(name.upper())
    if number is None:
        raise ImapSyntaxError("There is no such month")
    return number
