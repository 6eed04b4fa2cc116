"""How nodes tell each other of newer blocks of the authority (Application.RINGS); notifications.

A block is believed for its signature, so it may come from anybody.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.crypto.certificates import ISSUERS_MAX
from epost.crypto.versioned import KEY_BLOCK_SIZE_MAX
from epost.foundation.codec import Format
from epost.foundation.ids import U63, Bytes32

Block = Annotated[bytes, msgspec.Meta(max_length=KEY_BLOCK_SIZE_MAX)]


class Held(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The version of the block of one key; 0 if there is none."""

    key: Bytes32
    version: U63


class Numbers(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the sender holds: the root block first, then the issuers'."""

    held: Annotated[tuple[Held, ...], msgspec.Meta(max_length=1 + ISSUERS_MAX)]


class Ask(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Please send the blocks of these keys."""

    keys: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=1 + ISSUERS_MAX)]


class News(msgspec.Struct, tag=3, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A block of the authority."""

    block: Block


RingsMessage = Numbers | Ask | News

RINGS_MESSAGE: Format[RingsMessage] = Format(RingsMessage, size_max=KEY_BLOCK_SIZE_MAX + 64)
