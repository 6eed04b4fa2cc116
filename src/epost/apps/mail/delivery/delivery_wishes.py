"""What the sender of a mail wants to be told, and when it is to leave (RFC 3461, RFC 4865).

Kept as the memo of the outgoing message, in the sender's own log: it goes to no recipient.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import Annotated

import msgspec

from epost.apps.mail.log.records import Seconds
from epost.crypto.certificates import V1
from epost.crypto.names import NAME_LENGTH_MAX, canonical
from epost.foundation.codec import Format, encode
from epost.post.notification.records import RECIPIENTS_MAX

ENVELOPE_ID_LENGTH_MAX = 100  # RFC 3461 section 4.4
ORIGINAL_LENGTH_MAX = 500  # RFC 3461 section 4.2
HOLD_LENGTH_MAX = 40
HOLD_SECONDS_MAX = 30 * 86_400
"""A mail is held this long at most: its parts are leased for longer by far."""
WISHES_BYTES_MAX = 128 * 1024


class Notify(IntFlag):
    """Of what a sender wants to be told; none of it is NEVER (RFC 3461 section 4.1)."""

    NEVER = 0
    SUCCESS = 1
    FAILURE = 2
    DELAY = 4


NOTIFY_DEFAULT = Notify.FAILURE | Notify.DELAY


class RecipientWishes(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What was asked for one recipient; `original` is the ORCPT, "type;address", or empty."""

    name: Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    notify: Annotated[int, msgspec.Meta(ge=0, le=7)] = int(NOTIFY_DEFAULT)
    original: Annotated[str, msgspec.Meta(max_length=ORIGINAL_LENGTH_MAX)] = ""


class DeliveryWishes(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What was asked with MAIL and RCPT.

    `notify` holds for recipients that are not listed. `hold` is the request for a later release as
    reports repeat it ("for;600"), empty if there was none; `submitted` is when the mail came.
    """

    format: V1 = 1
    envelope_id: Annotated[str, msgspec.Meta(max_length=ENVELOPE_ID_LENGTH_MAX)] = ""
    returns_full: bool = False
    notify: Annotated[int, msgspec.Meta(ge=0, le=7)] = int(NOTIFY_DEFAULT)
    hold: Annotated[str, msgspec.Meta(max_length=HOLD_LENGTH_MAX)] = ""
    submitted: Seconds = 0
    recipients: Annotated[tuple[RecipientWishes, ...], msgspec.Meta(max_length=RECIPIENTS_MAX)] = ()

    def of(self, name: str) -> RecipientWishes:
        """Return what was asked for a recipient, by canonical name."""
        listed = (recipient for recipient in self.recipients if recipient.name == name)
        return next(listed, RecipientWishes(name, self.notify))


NO_WISHES = DeliveryWishes()
_FORMAT: Format[DeliveryWishes] = Format(DeliveryWishes, size_max=WISHES_BYTES_MAX)


def canonical_recipients(recipients: Sequence[RecipientWishes]) -> tuple[RecipientWishes, ...]:
    """Return what was asked by canonical name, once each: what was asked first counts."""
    by_name: dict[str, RecipientWishes] = {}
    for recipient in recipients:
        name = canonical(recipient.name)
        by_name.setdefault(name, msgspec.structs.replace(recipient, name=name))
    return tuple(by_name.values())


def encode_wishes(wishes: DeliveryWishes) -> bytes:
    """Return the memo of a mail with these wishes; without any it has none."""
    return b"" if wishes == NO_WISHES else encode(wishes)


def read_wishes(memo: bytes) -> DeliveryWishes:
    """Read a memo; raises MalformedPacket, LimitExceeded."""
    return _FORMAT.decode(memo) if memo else NO_WISHES
