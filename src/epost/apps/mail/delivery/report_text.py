"""The octets of a delivery status notification (RFC 3464): text, status fields, what was sent."""

from __future__ import annotations

import email.utils
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from epost.apps.mail.delivery.delivery_wishes import DeliveryWishes
from epost.apps.mail.mime.structure import parse_structure
from epost.past.pending import claimed_receipt

REASON_LENGTH_MAX = 500
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")

Action = Literal["delivered", "failed", "delayed"]

_EXPLANATIONS = {
    "delivered": "Your mail is with this recipient: a device of theirs has it and signed for it.",
    "failed": "Your mail could not be delivered to this recipient, and is not tried any more:",
    "delayed": "Your mail has not reached this recipient yet. You need not send it again:\r\n"
    "it is kept, and delivered as soon as the recipient's device can be reached.",
}
_SUBJECTS = {
    "delivered": "Mail delivered",
    "failed": "Mail not delivered",
    "delayed": "Mail delayed",
}
_STATUSES = {"delivered": "2.0.0", "failed": "5.0.0", "delayed": "4.4.1"}


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says; times in seconds since 1970.

    `receipt` is the recipient's signed receipt, empty if there is none; `name` is the report's own
    (for its Message-ID and boundary).
    """

    action: Action
    me: str
    recipient: str
    reason: str
    wishes: DeliveryWishes
    receipt: bytes
    submitted: int
    now: int
    name: str

    def octets(self, returned: bytes, *, is_whole: bool) -> bytes:
        """Return the report with what it returns: the whole mail, or its header."""
        lines = [
            *self._header(),
            "",
            *self._part("text/plain; charset=us-ascii"),
            *self._text(),
            *self._part("message/delivery-status"),
            *self._message_fields(),
            "",
            *self._recipient_fields(),
            "",
            *(_returned_mail(self.name, returned) if is_whole else self._part(_HEADERS_ONLY)),
            "",
        ]
        end = f"\r\n--{self.name}--\r\n".encode("ascii")
        return "\r\n".join(lines).encode("ascii") + returned + end

    def _part(self, content_type: str) -> list[str]:
        return [f"--{self.name}", f"Content-Type: {content_type}", ""]

    def _header(self) -> list[str]:
        domain = self.me.rpartition("@")[2]
        return [
            f"From: Mail delivery <postmaster@{domain}>",
            f"To: {self.me}",
            f"Subject: {_SUBJECTS[self.action]}: {self.recipient}",
            f"Date: {email.utils.formatdate(self.now)}",
            f"Message-ID: <{self.name}@{domain}>",
            "Auto-Submitted: auto-replied",
            "MIME-Version: 1.0",
            f'Content-Type: multipart/report; report-type=delivery-status; boundary="{self.name}"',
        ]

    def _text(self) -> list[str]:
        reason = [f"    {self._reason}"] if self._reason else []
        return [_EXPLANATIONS[self.action], "", f"    {self.recipient}", *reason, ""]

    @property
    def _reason(self) -> str:
        return printable(self.reason)[:REASON_LENGTH_MAX]

    def _message_fields(self) -> list[str]:
        """Return the per-message fields (RFC 3464 section 2.2)."""
        wishes = self.wishes
        submitted = wishes.submitted or self.submitted
        asked = [f"Original-Envelope-Id: {wishes.envelope_id}"] if wishes.envelope_id else []
        held = [f"Future-Release-Request: {wishes.hold}"] if wishes.hold else []
        return [
            *asked,
            f"Reporting-MTA: dns; {self.me.rpartition('@')[2]}",
            f"Arrival-Date: {email.utils.formatdate(submitted)}",
            *held,
        ]

    def _recipient_fields(self) -> list[str]:
        """Return the per-recipient fields (RFC 3464 section 2.3)."""
        original = self.wishes.of(self.recipient).original
        return [
            *([f"Original-Recipient: {original}"] if original else []),
            f"Final-Recipient: rfc822; {self.recipient}",
            f"Action: {self.action}",
            f"Status: {_STATUSES[self.action]}",
            *([f"Diagnostic-Code: X-ePOST; {self._reason}"] if self._reason else []),
            *_signature(self.receipt),
        ]


_HEADERS_ONLY = "text/rfc822-headers"


def _signature(receipt: bytes) -> list[str]:
    """Say which device signed when, and name the receipt that proves it; it is in the log."""
    if not receipt:
        return []
    signed = claimed_receipt(receipt)
    return [
        f"Last-Attempt-Date: {email.utils.formatdate(signed.at // 1000)}",
        f"X-ePOST-Receipt: device={signed.device}; sha256={hashlib.sha256(receipt).hexdigest()}",
    ]


def _returned_mail(boundary: str, mail: bytes) -> list[str]:
    encoding = "7bit" if mail.isascii() else "8bit"
    if b"\x00" in mail or mail.count(b"\n") != mail.count(b"\r\n"):
        encoding = "binary"
    content_type = "Content-Type: message/rfc822"
    return [f"--{boundary}", content_type, f"Content-Transfer-Encoding: {encoding}", ""]


def header_of(octets: bytes) -> bytes:
    """Return the header of a mail of which at least the beginning is given."""
    return parse_structure(octets).header.cut(octets)


def printable(text: str) -> str:
    """Return a text that can stand in a header line."""
    return _UNPRINTABLE.sub("?", text)
