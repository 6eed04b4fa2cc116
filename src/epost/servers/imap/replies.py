"""How a command ends: OK, NO or BAD, with a response code (RFC 3501 7.1, RFC 5530)."""

from dataclasses import dataclass
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
EXPUNGE_ISSUED = no("Some of the messages are no longer there", b"EXPUNGEISSUED")


def reply_for(error: EpostError) -> Reply:
    """What a client is told of an error; the texts name nothing of other people's mail."""
    match error:
        case NoSuchFolder():
            return no("There is no such folder", b"NONEXISTENT")
        case FolderExists():
            return no("There is such a folder already", b"ALREADYEXISTS")
        case NotFoundError():
            return EXPUNGE_ISSUED
        case QuotaExceeded():
            return no("There is no room left for this", b"OVERQUOTA")
        case DiskFull():
            return no("The disk is full", b"OVERQUOTA")
        case MessageTooLarge():
            return no("The mail is too big", b"TOOBIG")
        case NotPermitted():
            return no("This is not permitted", b"NOPERM")
        case RefusedError():
            return no("This cannot be done", b"CANNOT")
        case UnavailableError():
            return no("Not available now, please try again later", b"UNAVAILABLE")
        case AuthenticityError():
            return no("Stored data is damaged", b"CORRUPTION")
        case _:
            return no("This did not work", b"SERVERBUG")
