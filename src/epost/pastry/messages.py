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
    """Please hint at the entries of one row of your routing table."""

    row: U8


class Hints(_Packet, frozen=True, tag=9):
    """Nodes that may fill holes of your routing table."""

    handles: Handles


class JoinReply(_Packet, frozen=True, tag=10):
    """The leaf set of the root of your id; the sender is the root."""

    leaves: Handles


class Transit(_Packet, frozen=True, tag=11):
    """A routed message on one hop; with Application.PASTRY it asks the root for a JoinReply.

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
)

PACKET: Format[Packet] = Format(Packet, size_max=PACKET_SIZE_MAX)
