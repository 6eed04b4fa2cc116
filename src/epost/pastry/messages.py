"""The packets of the overlay (Application.PASTRY); all are one-way notifications.

Whoever speaks is known from the authenticated link, so no packet names its sender. Handles of
third nodes are hints: nothing is entered anywhere until the node itself has answered.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec

from epost.foundation.codec import Format
from epost.foundation.ids import U8, U63, Bytes16, Bytes20, NodeHandle
from epost.foundation.wire import Application
from epost.pastry.config import BODY_SIZE_MAX, HANDLES_MAX

Handles = Annotated[tuple[NodeHandle, ...], msgspec.Meta(max_length=HANDLES_MAX)]
Ids = Annotated[tuple[Bytes20, ...], msgspec.Meta(max_length=HANDLES_MAX)]
Body = Annotated[bytes, msgspec.Meta(max_length=BODY_SIZE_MAX)]

CERTIFICATE_BYTES_MAX = 2048
"""Of a node certificate in a RootSet; ordinary ones have 300."""

PACKET_SIZE_MAX = BODY_SIZE_MAX + HANDLES_MAX * 2400


class Standing(IntEnum):
    """How far a node is: never a member, a member that was away, a member."""

    FRESH = 0
    RESUMING = 1
    READY = 2


class _Packet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Common settings of the packets; each has its number as tag."""


class Heartbeat(_Packet, frozen=True, tag=1):
    """I live (to ring neighbours); or: my standing changed (to the leaf set)."""

    standing: Standing


class Ping(_Packet, frozen=True, tag=2):
    """Do you live? For routing-table entries and lost contacts."""

    nonce: U63
    standing: Standing


class Pong(_Packet, frozen=True, tag=3):
    """The answer to a Ping."""

    nonce: U63
    standing: Standing


class LeafSetProbe(_Packet, frozen=True, tag=4):
    """Do you live, and how does your leaf set differ from mine? Enters the sender."""

    nonce: U63
    standing: Standing
    leaves: Handles


class LeafSetReply(_Packet, frozen=True, tag=5):
    """The answer to a LeafSetProbe, after its sender was entered."""

    nonce: U63
    standing: Standing
    leaves: Handles


class FailureNotice(_Packet, frozen=True, tag=6):
    """These members of my leaf set do not answer me: see for yourself."""

    failed: Ids


class Leaving(_Packet, frozen=True, tag=7):
    """I stop now; do not wait for me."""


class RowRequest(_Packet, frozen=True, tag=8):
    """Please hint at the entries of one row of your routing table, or of your constrained one.

    Neighbours have nearly the same points in their constrained tables, so nearly the same entries.
    """

    row: U8
    is_constrained: bool


class Hints(_Packet, frozen=True, tag=9):
    """Nodes that may fill holes of your routing table."""

    handles: Handles


class JoinReply(_Packet, frozen=True, tag=10):
    """The leaf set of the root of your id; the sender is the root."""

    leaves: Handles


class Transit(_Packet, frozen=True, tag=11):
    """A routed message on one hop; with Application.PASTRY a question of the overlay itself:
    an empty body asks the root for a JoinReply, else it is a FindRootSet.

    `hop` names this transmission, `message` the message end to end, `hops` counts transmissions.
    """

    hop: U63
    message: Bytes16
    origin: NodeHandle
    key: Bytes20
    application: Application
    hops: U8
    body: Body


class HopAck(_Packet, frozen=True, tag=12):
    """I took over that transmission."""

    hop: U63


class Witnessed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node and its NodeCert, so that nobody can show a node that does not exist."""

    node: NodeHandle
    certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]


class RootSet(_Packet, frozen=True, tag=13):
    """The answer to FindRootSet and RootSetQuery: the sender and its leaf set."""

    nonce: Bytes16
    members: Annotated[tuple[Witnessed, ...], msgspec.Meta(max_length=HANDLES_MAX)]


class RootSetQuery(_Packet, frozen=True, tag=14):
    """Who are you, and who is in your leaf set?"""

    nonce: Bytes16


class FindRootSet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The body of a Transit with Application.PASTRY: answer the origin with a RootSet.

    By ordinary tables the root of the key answers; by constrained tables the first node that has
    the key within its leaf set.
    """

    nonce: Bytes16
    is_constrained: bool


FIND_ROOT_SET: Format[FindRootSet] = Format(FindRootSet, size_max=32)

Packet = (
    Heartbeat
    | Ping
    | Pong
    | LeafSetProbe
    | LeafSetReply
    | FailureNotice
    | Leaving
    | RowRequest
    | Hints
    | JoinReply
    | Transit
    | HopAck
    | RootSet
    | RootSetQuery
)

PACKET: Format[Packet] = Format(Packet, size_max=PACKET_SIZE_MAX)
