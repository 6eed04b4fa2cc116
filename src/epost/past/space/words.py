"""What nodes say to each other about a replica that does not fit where it belongs.

Notifications of Application.PAST like those of maintenance, in one numbering with them.
"""

from __future__ import annotations

import msgspec

from epost.foundation.codec import Format
from epost.foundation.ids import U63, Bytes20, Handle
from epost.foundation.wire import MESSAGE_SIZE_MAX
from epost.past.leases.words import Prolong
from epost.past.messages import Body, Handles, Upkeep, Voucher


class AskRoom(msgspec.Struct, tag=33, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How much room do you have?"""


class Room(msgspec.Struct, tag=34, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The octets that the sender would still take for the ring."""

    octets: U63


class Divert(msgspec.Struct, tag=35, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Please keep this content block in my place."""

    handle: Handle
    block: Body
    voucher: Voucher


class Diverted(msgspec.Struct, tag=36, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Whether it is kept, durably."""

    handle: Handle
    is_kept: bool


class Point(msgspec.Struct, tag=37, frozen=True, array_like=True, forbid_unknown_fields=True):
    """In my place this node keeps a block: remember it for the time when you take my place."""

    handle: Handle
    holder: Bytes20
    voucher: Voucher


class Check(msgspec.Struct, tag=38, frozen=True, array_like=True, forbid_unknown_fields=True):
    """These you keep in my place: say which are lost."""

    handles: Handles


class Lost(msgspec.Struct, tag=39, frozen=True, array_like=True, forbid_unknown_fields=True):
    """These are not kept here in your place."""

    handles: Handles


SpaceWord = AskRoom | Room | Divert | Diverted | Point | Check | Lost

NOTIFICATION: Format[Upkeep | SpaceWord | Prolong] = Format(
    Upkeep | SpaceWord | Prolong, size_max=MESSAGE_SIZE_MAX
)
