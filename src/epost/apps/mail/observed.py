"""What the mail application tells the observer; never names, addresses or contents."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.errors import EpostError


@dataclass(frozen=True, slots=True)
class MailIndexDiscarded:
    """The index could not be used and is made anew from the log; no mail is lost."""

    error: Exception


@dataclass(frozen=True, slots=True)
class MailIndexCaughtUp:
    """The index has taken in what the log had and it lacked."""

    entries: int
    was_rebuilt: bool


@dataclass(frozen=True, slots=True)
class MailRecordSkipped:
    """A record of the log cannot be read: of a newer program on another device, or a bug."""

    sequence: int
    error: EpostError


@dataclass(frozen=True, slots=True)
class MailIndexStuck:
    """The index could not be written; the log has everything, and it is tried again."""

    error: EpostError


@dataclass(frozen=True, slots=True)
class MailArrived:
    """A notice was accepted for the inbox."""

    size: int


@dataclass(frozen=True, slots=True)
class MailRefused:
    """A notice was refused for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class MailDeferred:
    """A notice waits: parts of the mail, or its sender's account, cannot be had now."""

    error: EpostError


@dataclass(frozen=True, slots=True)
class MailWorkFailed:
    """Numbering or rendering of mails of other devices did not succeed; it is tried again."""

    work: str
    error: EpostError
