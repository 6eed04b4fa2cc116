"""SMTP replies with enhanced status codes (RFC 5321 section 4.2, RFC 2034, RFC 3463)."""

import re
from dataclasses import dataclass

from epost.foundation.errors import (
    DiskFull,
    EpostError,
    MessageTooLarge,
    NoSuchUser,
    NotPermitted,
    QuotaExceeded,
    RefusedError,
    UnavailableError,
)

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_TEXT_LENGTH_MAX = 400  # a reply line has at most 512 octets


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply line; `status` is the enhanced code, such as "5.1.1"."""

    code: int
    status: str
    text: str

    def __str__(self) -> str:
        text = _UNPRINTABLE.sub(" ", self.text)[:_TEXT_LENGTH_MAX]
        return f"{self.code} {self.status} {text}"


OK = Reply(250, "2.0.0", "ok")
HELP = Reply(214, "2.0.0", "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT")
SENDER_OK = Reply(250, "2.1.0", "sender ok")
RECIPIENT_OK = Reply(250, "2.1.5", "recipient ok")
RECIPIENT_UNRESOLVED = Reply(
    250, "2.1.5", "recipient cannot be looked up now; you will be told if there is none"
)
NO_SUCH_RECIPIENT = Reply(550, "5.1.1", "nobody here has this address")
NO_GATEWAY = Reply(550, "5.1.2", "this organisation has no Internet gateway yet")
NEEDS_SMTPUTF8 = Reply(553, "5.6.7", "this address needs MAIL with SMTPUTF8")
NO_NULL_RECIPIENT = Reply(553, "5.1.3", "a recipient needs an address")
BAD_ADDRESS = Reply(553, "5.1.3", "the address cannot be read")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "too many recipients in one mail")
NO_ROOM = Reply(452, "4.3.1", "no room for this mail now, try again later")
TOO_LARGE = Reply(552, "5.3.4", "the mail is larger than the limit")
BARE_LINE_END = Reply(550, "5.6.0", "the mail has a CR or LF that is not part of a CRLF")
NULL_OCTET = Reply(
    550, "5.6.0", "the mail has NUL octets, which only BODY=BINARYMIME with BDAT may have"
)
BAD_LINE_END = Reply(500, "5.5.2", "commands end with CRLF, and have no other CR or LF")
LINE_TOO_LONG = Reply(500, "5.5.2", "the line is too long")
UNKNOWN_COMMAND = Reply(500, "5.5.1", "there is no such command")
BAD_ARGUMENT = Reply(501, "5.5.4", "the argument cannot be understood")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "a parameter is unknown, or not offered here")
HELD_TOO_LONG = Reply(501, "5.5.4", "a mail is not held for so long: see FUTURERELEASE")
NESTED_MAIL = Reply(503, "5.5.1", "a mail has begun: finish it, or send RSET")
BINARY_NEEDS_BDAT = Reply(503, "5.5.1", "BODY=BINARYMIME goes with BDAT, not DATA")
NEEDS_MAIL = Reply(503, "5.5.1", "send MAIL first")
NEEDS_RECIPIENT = Reply(503, "5.5.1", "send RCPT first")
NEEDS_EHLO = Reply(503, "5.5.1", "send EHLO first")
AMONG_CHUNKS = Reply(503, "5.5.1", "BDAT has begun: send BDAT or RSET")
NO_LOGIN = Reply(530, "5.7.0", "log in first")
CANNOT_VERIFY = Reply(252, "2.1.5", "send the mail and see")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "not implemented")
LOGGED_IN = Reply(235, "2.7.0", "logged in")
LOGGED_IN_ALREADY = Reply(503, "5.5.1", "logged in already")
LOGIN_FAILED = Reply(
    535,
    "5.7.8",
    "wrong name or password, or one for reading only: the name is the whole address, "
    "and epost password add makes a password",
)
LOGIN_LATER = Reply(454, "4.7.0", "too many failures lately, try again in a minute")
LOGIN_MALFORMED = Reply(501, "5.5.2", "the response does not follow the mechanism")
LOGIN_ABORTED = Reply(501, "5.7.0", "aborted as you wished")
LOGIN_NEEDS_TLS = Reply(538, "5.7.11", "use STARTTLS first")
NO_SUCH_MECHANISM = Reply(504, "5.5.4", "this mechanism is not offered here")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "too many errors, goodbye")
TOO_MANY_CONNECTIONS = Reply(421, "4.7.0", "too many connections, try again later")
TOO_MUCH_DATA = Reply(421, "4.3.4", "far larger than the limit, goodbye")
TIMED_OUT = Reply(421, "4.4.2", "nothing heard for too long, goodbye")
SHUTTING_DOWN = Reply(421, "4.3.2", "shutting down, try again later")
PEER_REFUSED = Reply(554, "5.7.1", "only the owner of this daemon may connect here")
BROKEN = Reply(421, "4.3.0", "something went wrong here, goodbye")
INTERNAL_ERROR = Reply(451, "4.3.0", "something went wrong here, try again later")

# For the library's own replies, which carry no enhanced code.
_DEFAULT_STATUS = {
    214: "2.0.0",
    220: "2.0.0",
    221: "2.0.0",
    250: "2.0.0",
    454: "4.7.0",
    500: "5.5.2",
    501: "5.5.4",
    502: "5.5.1",
    503: "5.5.1",
    552: "5.3.4",
    555: "5.5.4",
}
_WITHOUT_STATUS = re.compile(r"([2-5]\d\d) (?![245]\.\d{1,3}\.\d{1,3} )")

# Mistakes of the client's program; refused addresses and mails are not among them.
_PROTOCOL_ERRORS = frozenset({500, 501, 502, 503, 504, 530, 535, 538, 553, 555})


def renamed(address: str) -> Reply:
    """Accept a recipient and tell her present address (RFC 5321 section 3.4)."""
    if not address.isascii():  # which only clients that ask for SMTPUTF8 could read
        return RECIPIENT_OK
    return Reply(251, "2.1.5", f"the address has changed; will forward to <{address}>")


def with_status(line: str) -> str:
    """Add the enhanced code to a reply line of the library that has none."""
    match = _WITHOUT_STATUS.match(line)
    status = _DEFAULT_STATUS.get(int(match[1])) if match else None
    return f"{line[:4]}{status} {line[4:]}" if status else line


def is_protocol_error(line: str) -> bool:
    """Say whether a reply tells the client that it broke the rules of SMTP."""
    return line[:3].isdigit() and int(line[:3]) in _PROTOCOL_ERRORS


def reply_for(error: EpostError) -> Reply:
    """Translate an error into a reply: the only place where errors meet SMTP codes."""
    match error:
        case MessageTooLarge():
            return TOO_LARGE
        case QuotaExceeded():
            return Reply(552, "5.2.2", f"no space left: {error}")
        case NotPermitted():
            return Reply(550, "5.7.1", f"not permitted: {error}")
        case RefusedError():
            return Reply(554, "5.7.0", f"refused: {error}")
        case NoSuchUser():
            return NO_SUCH_RECIPIENT
        case DiskFull():
            return Reply(452, "4.3.1", "the disk is full")
        case UnavailableError():
            return Reply(451, "4.4.0", f"not now: {error}")
        case _:  # peers or data that are wrong, or our own state: perhaps others do better later
            return INTERNAL_ERROR
