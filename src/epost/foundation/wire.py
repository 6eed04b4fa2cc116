"""The envelope of every message between nodes: application, form, call id, body.

Layout: u8 application, u8 form, u64be call id (requests and responses only), body. Applications
decode their own bodies; the transport carries the whole as opaque bytes.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import U16

MESSAGE_SIZE_MAX = 6 * 1024 * 1024
"""Bytes of one message between nodes: a content block of 4 MiB + 132 KiB fits with its ticket."""

REFUSAL_TEXT_MAX = 500


class Application(IntEnum):
    """Who a message is for at the receiving node."""

    PASTRY = 1
    PAST = 2
    SCRIBE = 3
    RINGS = 4
    POST = 5


class Form(IntEnum):
    """Whether an answer is expected, or this is one."""

    NOTIFY = 0
    REQUEST = 1
    RESPONSE = 2
    REFUSAL = 3


class Refusal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The body of a REFUSAL: why a request was not served."""

    code: U16
    text: str


class RefusalCode(IntEnum):
    """Closed list of reasons; the text is for people."""

    LATER = 1
    MALFORMED = 2
    NOT_PERMITTED = 3
    QUOTA = 4
    DISK_FULL = 5
    UNKNOWN = 6
    INVALID_BLOCK = 7


class Message(msgspec.Struct, frozen=True):
    """One parsed envelope."""

    application: Application
    form: Form
    call_id: int
    body: bytes


# Looked up for every message: calling an enum takes ten times as long.
_APPLICATIONS = {int(application): application for application in Application}
_FORMS = {int(form): form for form in Form}


def pack(application: Application, form: Form, body: bytes, call_id: int = 0) -> bytes:
    """Return the envelope as it travels."""
    if form is Form.NOTIFY:
        return bytes((application, form)) + body
    return bytes((application, form)) + call_id.to_bytes(8, "big") + body


def unpack(data: bytes) -> Message:
    """Parse an envelope; raise MalformedPacket for unknown applications, forms or short data."""
    if len(data) < 2:
        raise MalformedPacket("message shorter than its envelope")
    application, form = _APPLICATIONS.get(data[0]), _FORMS.get(data[1])
    if application is None or form is None:
        raise MalformedPacket("unknown application or form")
    if form is Form.NOTIFY:
        return Message(application, form, 0, data[2:])
    if len(data) < 10:
        raise MalformedPacket("message shorter than its envelope")
    return Message(application, form, int.from_bytes(data[2:10], "big"), data[10:])
