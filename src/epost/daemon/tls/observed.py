"""What the transport tells the observer."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.errors import EpostError
from epost.foundation.ids import NodeHandle, NodeId


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link came up."""

    node: NodeHandle
    opened_by_us: bool


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link that was up ended."""

    node: NodeHandle
    text: str


@dataclass(frozen=True, slots=True)
class DialFailed:
    """None of a node's addresses led to it; `text` has the reason for each."""

    node: NodeHandle
    text: str


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """Somebody opened a connection and no link came of it."""

    source: str
    error: EpostError | OSError


@dataclass(frozen=True, slots=True)
class QueueFull:
    """Messages to a peer are dropped because too much waits for it already."""

    node: NodeHandle


@dataclass(frozen=True, slots=True)
class AcceptFailed:
    """The system gives no more connections (too many open files?); tried again soon."""

    text: str


@dataclass(frozen=True, slots=True)
class SourceRouteUp:
    """A node is reached through another one, since no direct link comes about."""

    node: NodeHandle
    relay: NodeId


@dataclass(frozen=True, slots=True)
class RelayBegan:
    """This node passes on what two others say."""


@dataclass(frozen=True, slots=True)
class RelayRefused:
    """Somebody asked this node to relay, and it has no room."""

    reason: str


@dataclass(frozen=True, slots=True)
class RelayEnded:
    """A pair that was relayed is done; `octets` passed through here, both ways."""

    octets: int
