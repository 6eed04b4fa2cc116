"""What the overlay reports to the Observer; `at` is always the node that reports."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.ids import Id, NodeId
from epost.foundation.wire import Application


@dataclass(frozen=True, slots=True)
class BecameReady:
    """The node is a member of the ring; `founded` if no other member was ready before it."""

    at: NodeId
    founded: bool


@dataclass(frozen=True, slots=True)
class CeasedReady:
    """The node found that it was away (slept) for so long and must confirm its leaf set."""

    at: NodeId
    away_seconds: float


@dataclass(frozen=True, slots=True)
class NodeJoined:
    """A node entered the leaf set."""

    at: NodeId
    node: NodeId


@dataclass(frozen=True, slots=True)
class NodeDisplaced:
    """A live node left the leaf set because nearer ones fill it."""

    at: NodeId
    node: NodeId


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A leaf-set member did not answer, or said good-bye."""

    at: NodeId
    node: NodeId


@dataclass(frozen=True, slots=True)
class SuspicionCleared:
    """A suspected node answered after all."""

    at: NodeId
    node: NodeId


@dataclass(frozen=True, slots=True)
class Routed:
    """A message leaves for its next hop; `hops` counts its transmissions so far, this included."""

    at: NodeId
    key: Id
    application: Application
    next_hop: NodeId
    hops: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message reached its root after so many hops (0: it began there)."""

    at: NodeId
    key: Id
    application: Application
    origin: NodeId
    hops: int


@dataclass(frozen=True, slots=True)
class HopFailed:
    """The next hop did not acknowledge a message; another way is tried."""

    at: NodeId
    next_hop: NodeId


@dataclass(frozen=True, slots=True)
class MessageDropped:
    """A routed message was given up: too many hops or reroutes, full buffers, never ready."""

    at: NodeId
    application: Application
    reason: str


@dataclass(frozen=True, slots=True)
class PacketRefused:
    """A peer sent what it must not: malformed bytes, or a handle of another ring."""

    at: NodeId
    sender: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class RootSetDoubted:
    """A root showed neighbours too few and far between; the redundant route decides."""

    at: NodeId
    key: Id
    root: NodeId


@dataclass(frozen=True, slots=True)
class RootSetFound:
    """Secure routing ended, with so many replica roots."""

    at: NodeId
    key: Id
    roots: int
    redundant: bool


Observed = (
    BecameReady
    | CeasedReady
    | NodeJoined
    | NodeDisplaced
    | NodeFailed
    | SuspicionCleared
    | Routed
    | Delivered
    | HopFailed
    | MessageDropped
    | PacketRefused
    | RootSetDoubted
    | RootSetFound
)
