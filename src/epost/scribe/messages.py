"""The packets of the groups (Application.SCRIBE).

`JoinGroup`, `Publish` and `Terms` of a new group are routed with the group as key; `Anycast` is
routed until it meets the tree. All else goes directly between neighbours in a tree, or from a root
to its heirs.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.foundation.codec import Format
from epost.foundation.ids import U63, Bytes16, Bytes20, NodeHandle
from epost.scribe.charter import Mark
from epost.scribe.config import (
    ANYCAST_BODY_SIZE_MAX,
    ANYCAST_VISITS_MAX,
    BODY_SIZE_MAX,
    CHARTER_SIZE_MAX,
    HEIR_CHILDREN_MAX,
    PATH_MAX,
    PERMIT_SIZE_MAX,
    PUBLISHERS_MAX,
    REFRESH_GROUPS_MAX,
    SIBLINGS_MAX,
)

Groups = Annotated[tuple[Bytes20, ...], msgspec.Meta(max_length=REFRESH_GROUPS_MAX)]
Path = Annotated[tuple[Bytes20, ...], msgspec.Meta(max_length=PATH_MAX)]
Body = Annotated[bytes, msgspec.Meta(max_length=BODY_SIZE_MAX)]

PermitBytes = Annotated[bytes, msgspec.Meta(max_length=PERMIT_SIZE_MAX)]
Bytes8 = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]

PACKET_SIZE_MAX = 256 * 1024
"""An anycast with as many nodes as it may have, each with eight long addresses."""


class _Packet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Common settings of the packets; each has its number as tag."""


class JoinGroup(_Packet, frozen=True, tag=1):
    """Whoever is next on the way to the root: be my parent.

    The permit is the origin's, or that of a member below it; empty in groups open to all.
    """

    permit: PermitBytes


class Publish(_Packet, frozen=True, tag=2):
    """Root: send this to everybody in the group."""

    message: Bytes16
    body: Body


class Branch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One group, the way from the speaker to the root, itself first, and its charter's version."""

    group: Bytes20
    path: Path
    terms: U63


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


class Terms(_Packet, frozen=True, tag=8):
    """The charter in force as far as the speaker knows, empty if it knows none."""

    group: Bytes20
    charter: Annotated[bytes, msgspec.Meta(max_length=CHARTER_SIZE_MAX)]
    marks: Annotated[tuple[Mark, ...], msgspec.Meta(max_length=PUBLISHERS_MAX)]


class Estate(_Packet, frozen=True, tag=9):
    """Heir: these are my children, for the day when you are the root; none: the group is over."""

    group: Bytes20
    children: Annotated[tuple[NodeHandle, ...], msgspec.Meta(max_length=HEIR_CHILDREN_MAX)]


class HandOver(_Packet, frozen=True, tag=10):
    """Child: I have too many; ask one of these to be your parent."""

    group: Bytes20
    siblings: Annotated[tuple[NodeHandle, ...], msgspec.Meta(max_length=SIBLINGS_MAX)]


class Attach(_Packet, frozen=True, tag=11):
    """Be my parent: yours handed me over to you."""

    group: Bytes20
    permit: PermitBytes


class Anycast(_Packet, frozen=True, tag=12):
    """Any member: answer the origin's call; depth first through the tree.

    Nobody in `visited` is asked again; `waiting` are to be asked, the next one first.
    """

    group: Bytes20
    origin: NodeHandle
    call: Bytes8
    body: Annotated[bytes, msgspec.Meta(max_length=ANYCAST_BODY_SIZE_MAX)]
    visited: Annotated[tuple[Bytes20, ...], msgspec.Meta(max_length=ANYCAST_VISITS_MAX)]
    waiting: Annotated[tuple[NodeHandle, ...], msgspec.Meta(max_length=ANYCAST_VISITS_MAX)]


Packet = (
    JoinGroup
    | Publish
    | Adopted
    | Refresh
    | Disowned
    | LeaveGroups
    | Multicast
    | Terms
    | Estate
    | HandOver
    | Attach
    | Anycast
)

PACKET: Format[Packet] = Format(Packet, size_max=PACKET_SIZE_MAX)
