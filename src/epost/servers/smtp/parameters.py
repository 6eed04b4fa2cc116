"""What a client asks for with MAIL and RCPT: their parameters (RFC 5321 section 4.1.2).

SIZE, BODY, SMTPUTF8 and AUTH; RET, ENVID, NOTIFY and ORCPT (RFC 3461); HOLDFOR and HOLDUNTIL
(RFC 4865); REQUIRETLS (RFC 8689).
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass

from epost.apps.mail.delivery.delivery_wishes import (
    ENVELOPE_ID_LENGTH_MAX,
    HOLD_SECONDS_MAX,
    NOTIFY_DEFAULT,
    ORIGINAL_LENGTH_MAX,
    Notify,
)
from epost.servers.smtp.replies import (
    BAD_ARGUMENT,
    HELD_TOO_LONG,
    TOO_LARGE,
    UNKNOWN_PARAMETER,
    Reply,
)

_PARAMETER = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[^\x00-\x20\x7f]+))?")
_OF_MAIL = (
    *("SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"),
    *("HOLDFOR", "HOLDUNTIL", "REQUIRETLS"),
)
_OF_RCPT = ("NOTIFY", "ORCPT")
_BODIES = ("7BIT", "8BITMIME", "BINARYMIME")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_XTEXT_OCTET = re.compile(r"\+([0-9A-F]{2})")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]{1,40}")
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class BadParameters(Exception):  # noqa: N818 - the client's, and answered by its reply
    """What a client asked for is not understood, or not offered."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class MailOptions:
    """What was asked for with MAIL; `hold` is the request as reports repeat it, or empty."""

    is_international: bool = False
    is_binary: bool = False
    returns_full: bool = False
    envelope_id: str = ""
    hold: str = ""
    not_before_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecipientOptions:
    """What was asked for with RCPT; `original` is "type;address", or empty."""

    notify: Notify = NOTIFY_DEFAULT
    original: str = ""


def read_mail_options(text: str, *, size_max: int, is_tls: bool, now_ms: int) -> MailOptions:
    """Read what follows the sender's address; raises BadParameters."""
    given = _parameters(text, _OF_MAIL)
    if "REQUIRETLS" in given and not is_tls:
        raise BadParameters(UNKNOWN_PARAMETER)  # offered under TLS only (RFC 8689 section 3)
    for flag in ("SMTPUTF8", "REQUIRETLS"):
        if given.get(flag):
            raise BadParameters(BAD_ARGUMENT)
    _check_size(given.get("SIZE", "0"), size_max)
    hold, not_before_ms = _read_hold(given, now_ms)
    returns_full = _one_of(("HDRS", "FULL"), given.get("RET", "HDRS")) == "FULL"
    return MailOptions(
        is_international="SMTPUTF8" in given,
        is_binary=_one_of(_BODIES, given.get("BODY", "7BIT")) == "BINARYMIME",
        returns_full=returns_full and "REQUIRETLS" not in given,  # RFC 8689 section 5
        envelope_id=_read_envelope_id(given["ENVID"]) if "ENVID" in given else "",
        hold=hold,
        not_before_ms=not_before_ms,
    )


def read_recipient_options(text: str) -> RecipientOptions:
    """Read what follows a recipient's address; raises BadParameters."""
    given = _parameters(text, _OF_RCPT)
    return RecipientOptions(
        notify=_read_notify(given["NOTIFY"]) if "NOTIFY" in given else NOTIFY_DEFAULT,
        original=_read_original(given["ORCPT"]) if "ORCPT" in given else "",
    )


def format_utc(milliseconds: int) -> str:
    """Write a moment as HOLDUNTIL does."""
    moment = datetime.datetime.fromtimestamp(milliseconds // 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _parameters(text: str, known: tuple[str, ...]) -> Mapping[str, str]:
    """Return each parameter once, by its name in capitals; without a value it is empty."""
    found: dict[str, str] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        name = match["name"].upper() if match else ""
        if match is None or name in found:
            raise BadParameters(BAD_ARGUMENT)
        if name not in known:
            raise BadParameters(UNKNOWN_PARAMETER)
        found[name] = match["value"] or ""
    return found


def _one_of(known: tuple[str, ...], value: str) -> str:
    if value.upper() not in known:
        raise BadParameters(BAD_ARGUMENT)
    return value.upper()


def _check_size(value: str, size_max: int) -> None:
    if not re.fullmatch(r"\d{1,20}", value, re.ASCII):
        raise BadParameters(BAD_ARGUMENT)
    if int(value) > size_max:
        raise BadParameters(TOO_LARGE)


def _read_envelope_id(value: str) -> str:
    decoded = _from_xtext(value)
    if len(value) > ENVELOPE_ID_LENGTH_MAX or not _PRINTABLE.fullmatch(decoded):
        raise BadParameters(BAD_ARGUMENT)
    return decoded


def _read_notify(value: str) -> Notify:
    words = value.upper().split(",")
    if words == ["NEVER"]:
        return Notify.NEVER
    notify = Notify.NEVER
    for word in words:
        notify |= Notify[_one_of(("SUCCESS", "FAILURE", "DELAY"), word)]
    return notify


def _read_original(value: str) -> str:
    """Read an ORCPT: a type and an address, which reports repeat decoded (RFC 3461 section 4.2)."""
    address_type, semicolon, encoded = value.partition(";")
    if not semicolon or not _ADDRESS_TYPE.fullmatch(address_type):
        raise BadParameters(BAD_ARGUMENT)
    if address_type.lower() == "utf-8":  # a form of its own, which reports keep (RFC 6533)
        address = re.sub(r"[^\x00-\x7f]", lambda match: f"\\x{{{ord(match[0]):X}}}", encoded)
    else:
        address = _from_xtext(encoded)
    original = f"{address_type};{address}"
    if len(original) > ORIGINAL_LENGTH_MAX or not _PRINTABLE.fullmatch(address):
        raise BadParameters(BAD_ARGUMENT)
    return original


def _from_xtext(text: str) -> str:
    """Decode xtext (RFC 3461 section 4)."""
    if not _XTEXT.fullmatch(text):
        raise BadParameters(BAD_ARGUMENT)
    return _XTEXT_OCTET.sub(lambda match: chr(int(match[1], 16)), text)


def _read_hold(given: Mapping[str, str], now_ms: int) -> tuple[str, int]:
    """Return the request for a later release and its moment; ("", 0) without one."""
    if "HOLDFOR" in given and "HOLDUNTIL" in given:
        raise BadParameters(BAD_ARGUMENT)
    if "HOLDFOR" in given:
        value = given["HOLDFOR"]
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
            raise BadParameters(BAD_ARGUMENT)
        hold, not_before_ms = f"for;{value}", now_ms + 1000 * int(value)
    elif "HOLDUNTIL" in given:
        value = given["HOLDUNTIL"]
        hold, not_before_ms = f"until;{value}", _moment(value)
    else:
        return "", 0
    if not_before_ms > now_ms + 1000 * HOLD_SECONDS_MAX:
        raise BadParameters(HELD_TOO_LONG)
    return hold, not_before_ms


def _moment(value: str) -> int:
    if not _UTC.fullmatch(value):
        raise BadParameters(BAD_ARGUMENT)
    try:
        return int(datetime.datetime.fromisoformat(value).timestamp()) * 1000
    except (ValueError, OverflowError):
        raise BadParameters(BAD_ARGUMENT) from None
