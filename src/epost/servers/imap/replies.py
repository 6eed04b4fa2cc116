"""How a command ends: OK, NO or BAD, with a response code (RFC 3501 7.1, RFC 5530)."""

from dataclasses import dataclass, replace
from enum import Enum

from epost.foundation.errors import (
    AuthenticityError,
    DiskFull,
    EpostError,
    FolderExists,
    MessageTooLarge,
    NoSuchFolder,
    NotFoundError,
    NotPermitted,
    PeerRefused,
    QuotaExceeded,
    RefusedError,
    UnavailableError,
)
from epost.servers.imap.syntax.formats import resp_text


class Condition(Enum):
    """The three ways to end a command."""

    OK = b"OK"
    NO = b"NO"
    BAD = b"BAD"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer that ends a command."""

    condition: Condition
    text: str
    code: bytes = b""  # without its brackets

    def line(self, tag: bytes) -> bytes:
        """The tagged response."""
        code = b"[%b] " % self.code if self.code else b""
        return b"%b %b %b%b\r\n" % (tag, self.condition.value, code, resp_text(self.text))


def ok(text: str, code: bytes = b"") -> Reply:
    """The command was done."""
    return Reply(Condition.OK, text, code)


def no(text: str, code: bytes = b"") -> Reply:
    """The command is right but cannot be done."""
    return Reply(Condition.NO, text, code)


def bad(text: str, code: bytes = b"") -> Reply:
    """The command is wrong."""
    return Reply(Condition.BAD, text, code)


READ_ONLY = no("The folder is open for reading only")
EXPUNGE_ISSUED = no("Some of the messages no longer exist", b"EXPUNGEISSUED")
STORE_EXPUNGE_ISSUED = ok("Some of the messages no longer exist", b"EXPUNGEISSUED")


_REPLIES: tuple[tuple[type[EpostError], Reply], ...] = (
    (NoSuchFolder, no("There is no such folder", b"NONEXISTENT")),
    (FolderExists, no("There is such a folder already", b"ALREADYEXISTS")),
    (NotFoundError, EXPUNGE_ISSUED),
    (QuotaExceeded, no("There is no room left for this", b"OVERQUOTA")),
    (DiskFull, no("The disk is full", b"OVERQUOTA")),
    (MessageTooLarge, no("The mail is too big", b"TOOBIG")),
    (NotPermitted, no("This is not permitted", b"NOPERM")),
    (RefusedError, no("This cannot be done", b"CANNOT")),
    (UnavailableError, no("Not available now, please try again later", b"UNAVAILABLE")),
    (AuthenticityError, no("Stored data is damaged", b"CORRUPTION")),
    (EpostError, no("This did not work", b"SERVERBUG")),
)
"""The first class that fits decides: the narrow ones stand before the wide ones."""


_SELF_EXPLAINING = (FolderExists, PeerRefused)
"""There is nothing to add, and nothing is repeated that others said."""
REASON_LENGTH_MAX = 200


def reply_for(error: EpostError) -> Reply:
    """What a client is told of an error: of a refusal also why, in the application's words.

    The texts name nothing of other people's mail.
    """
    reply = next(reply for kind, reply in _REPLIES if isinstance(error, kind))
    reason = str(error)[:REASON_LENGTH_MAX]
    if isinstance(error, RefusedError) and not isinstance(error, _SELF_EXPLAINING) and reason:
        return replace(reply, text=f"{reply.text}: {reason}")
    return reply
