"""What the groups report to the Observer; `at` is always the node that reports."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.ids import Id, NodeId


@dataclass(frozen=True, slots=True)
class ParentFound:
    """A node has a place in a group's tree; it is the root if `parent` is None."""

    at: NodeId
    group: Id
    parent: NodeId | None


@dataclass(frozen=True, slots=True)
class ParentLost:
    """A parent fell silent or disowned this node, which looks for another."""

    at: NodeId
    group: Id
    parent: NodeId


@dataclass(frozen=True, slots=True)
class LoopBroken:
    """A would-be parent turned out to be below this node in the tree."""

    at: NodeId
    group: Id


@dataclass(frozen=True, slots=True)
class MulticastReceived:
    """News came for the first time and went on to so many nodes."""

    at: NodeId
    group: Id
    message: bytes
    passed_to: int
    is_member: bool


@dataclass(frozen=True, slots=True)
class GroupPacketRefused:
    """A peer sent malformed bytes, or more than a limit allows."""

    at: NodeId
    sender: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class TermsChanged:
    """A newer charter is in force here."""

    at: NodeId
    group: Id
    version: int


@dataclass(frozen=True, slots=True)
class JoinRefused:
    """A node asked for a place in a chartered group without a permit."""

    at: NodeId
    group: Id
    node: NodeId


@dataclass(frozen=True, slots=True)
class PublicationRefused:
    """News that the charter does not allow, or that were heard before."""

    at: NodeId
    group: Id
    reason: str


@dataclass(frozen=True, slots=True)
class EstateTaken:
    """A root is gone and this node, one of its heirs, stands in for it."""

    at: NodeId
    group: Id
    children: int


@dataclass(frozen=True, slots=True)
class ChildHandedOver:
    """A node with too many children asked one to find a parent among its siblings."""

    at: NodeId
    group: Id
    child: NodeId


@dataclass(frozen=True, slots=True)
class AnycastEnded:
    """A member took an anycast after so many nodes were asked, or nobody did."""

    at: NodeId
    group: Id
    visited: int
    is_taken: bool
