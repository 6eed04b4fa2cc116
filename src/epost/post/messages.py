"""What the POST services of two nodes say to each other (Application.POST)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.foundation.codec import Format
from epost.foundation.ids import U8, Bytes32
from epost.past.pending import PENDING_SIZE_MAX, RECEIPT_SIZE_MAX

MESSAGE_BYTES_MAX = PENDING_SIZE_MAX + 1024


class Deliver(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Request: here is an envelope for your user; the answer is Answered."""

    envelope: Annotated[bytes, msgspec.Meta(max_length=PENDING_SIZE_MAX)]


class Settle(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Notification to a sender's device: the receipt for one of its envelopes, which came by way
    of delegates; from the recipient's device or, if it must be sealed anew, from a delegate."""

    receipt: Annotated[bytes, msgspec.Meta(max_length=RECEIPT_SIZE_MAX)]


class Grew(msgspec.Struct, tag=3, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Request to another device of the same account: this device's log has new records.

    A hint and no more: what was logged is read from the ring and proves itself.
    """

    device: U8


class Kept(msgspec.Struct, tag=4, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Notification to the sender's device that brought an envelope: its notice is accepted and on
    the disk of the recipient's device.

    It settles nothing, and so is not signed: the link says which node it is from, and the signed
    receipt follows when k machines have the record.
    """

    pending: Bytes32


class Answered(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The recipient's signed receipt."""

    receipt: Annotated[bytes, msgspec.Meta(max_length=RECEIPT_SIZE_MAX)]


POST_MESSAGE: Format[Deliver | Settle | Grew] = Format(
    Deliver | Settle | Grew, size_max=MESSAGE_BYTES_MAX
)
POST_NOTIFICATION: Format[Kept] = Format(Kept, size_max=64)
ANSWERED: Format[Answered] = Format(Answered, size_max=MESSAGE_BYTES_MAX)
