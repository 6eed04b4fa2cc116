"""The packets of the groups (Application.SCRIBE).

`JoinGroup` and `Publish` are routed with the group as key, the others go directly between a child
and its parent.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.foundation.codec import Format
from epost.foundation.ids import Bytes16, Bytes20
from epost.scribe.config import BODY_SIZE_MAX, PATH_MAX, REFRESH_GROUPS_MAX

Groups = Annotated[tuple[Bytes20, ...], msgspec.Meta(max_length=REFRESH_GROUPS_MAX)]
Path = Annotated[tuple[Bytes20, ...], msgspec.Meta(max_length=PATH_MAX)]
Body = Annotated[bytes, msgspec.Meta(max_length=BODY_SIZE_MAX)]

PACKET_SIZE_MAX = BODY_SIZE_MAX + REFRESH_GROUPS_MAX * (PATH_MAX + 2) * 24


class _Packet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Common settings of the packets; each has its number as tag."""


class JoinGroup(_Packet, frozen=True, tag=1):
    """Whoever is next on the way to the root: be my parent."""


class Publish(_Packet, frozen=True, tag=2):
    """Root: send this to everybody in the group."""

    message: Bytes16
    body: Body


class Branch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One group and the way from the speaker to the root, itself first."""

    group: Bytes20
    path: Path


class Adopted(_Packet, frozen=True, tag=3):
    """I am your parent in these groups."""

    branches: Annotated[tuple[Branch, ...], msgspec.Meta(max_length=REFRESH_GROUPS_MAX)]


class Refresh(_Packet, frozen=True, tag=4):
    """I am your child in these groups, still."""

    groups: Groups


class Disowned(_Packet, frozen=True, tag=5):
    """I am not, or no longer, your parent in these groups."""

    groups: Groups


class LeaveGroups(_Packet, frozen=True, tag=6):
    """I am not, or no longer, your child in these groups."""

    groups: Groups


class Multicast(_Packet, frozen=True, tag=7):
    """News on its way down the tree."""

    group: Bytes20
    message: Bytes16
    body: Body


Packet = JoinGroup | Publish | Adopted | Refresh | Disowned | LeaveGroups | Multicast

PACKET: Format[Packet] = Format(Packet, size_max=PACKET_SIZE_MAX)
