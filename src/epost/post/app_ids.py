"""The applications that share notifications and device logs."""

from __future__ import annotations

from enum import IntEnum


class AppId(IntEnum):
    """Whose a notification or a log record is; part of every signed notice. Closed list."""

    POST = 0
    MAIL = 1
    CONTACTS = 2
    CALENDAR = 3
    CHAT = 4
    NEWS = 5
    WHITEBOARD = 6
    LOG = 7
    """What a log says of itself; in records only."""
