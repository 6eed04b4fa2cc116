"""POST's own log records: what was sent, how far it came, what was received."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec

from epost.crypto.names import NAME_LENGTH_MAX
from epost.foundation.codec import Format
from epost.foundation.ids import U8, U16, U63, Bytes16, Bytes32
from epost.past.pending import RECEIPT_SIZE_MAX, ReceiptStatus
from epost.post.logs.entries import PAYLOAD_BYTES_MAX
from epost.post.notification.notices import CONTENT_BYTES_MAX

RECIPIENTS_MAX = 1000
PROGRESS_MAX = 64


class DeliveryState(IntEnum):
    """How far a notice came; each rests on signatures (crypto 7.7)."""

    HELD = 1
    """On the sender's disk."""
    STORED = 2
    """The sender's record of it is on k machines."""
    DELEGATED = 3
    """k delegates signed that they keep it."""
    DELIVERED = 4
    """The recipient's device signed that it has it."""
    READ = 5
    REFUSED = 6
    """The recipient's device signed that it does not want it."""
    UNDELIVERABLE = 7
    """Given up: expired, or there is no such user."""


SETTLED = frozenset(
    {
        DeliveryState.DELIVERED,
        DeliveryState.READ,
        DeliveryState.REFUSED,
        DeliveryState.UNDELIVERABLE,
    }
)
"""After these nothing is offered any more."""


class OutgoingNotice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One recipient: her name, the id of her notice, and which of the contents is hers."""

    name: Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    notice_id: Bytes16
    content: U16


class Outgoing(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Something was sent, or is held until `sent_at`: enough to seal every notice again."""

    message_key: Bytes16
    app: U8
    sent_at: U63
    expires_at: U63
    contents: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=CONTENT_BYTES_MAX)], ...],
        msgspec.Meta(max_length=RECIPIENTS_MAX),
    ]
    notices: Annotated[tuple[OutgoingNotice, ...], msgspec.Meta(max_length=RECIPIENTS_MAX)]

    @property
    def memo(self) -> bytes:
        """What the application wanted kept beside it: the last contents, which are nobody's."""
        named = max((notice.content for notice in self.notices), default=-1)
        return b"".join(self.contents[named + 1 :])


class Step(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A notice came further. `pending` names the envelope that delegates keep, `receipt` is the
    recipient's; either may be empty."""

    message_key: Bytes16
    notice: U16
    state: DeliveryState
    at: U63
    pending: Annotated[bytes, msgspec.Meta(max_length=32)]
    receipt: Annotated[bytes, msgspec.Meta(max_length=RECEIPT_SIZE_MAX)]


class Progressed(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Some notices came further."""

    steps: Annotated[tuple[Step, ...], msgspec.Meta(max_length=PROGRESS_MAX)]


class Received(msgspec.Struct, tag=3, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A notice was accepted or refused: it is never handled again, and always answered alike."""

    from_account: Bytes32
    notice_id: Bytes16
    status: ReceiptStatus
    at: U63
    expires_at: U63


class Warned(msgspec.Struct, tag=4, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The user was told that a notice of hers takes its time: once is enough."""

    message_key: Bytes16
    notice: U16
    at: U63


PostRecord = Outgoing | Progressed | Received | Warned
POST_RECORD: Format[PostRecord] = Format(PostRecord, size_max=PAYLOAD_BYTES_MAX)
