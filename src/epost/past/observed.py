"""What the block store tells the observer."""

from __future__ import annotations

from dataclasses import dataclass, field

from epost.foundation.ids import Handle, NodeId
from epost.foundation.ports import Role


@dataclass(frozen=True, slots=True)
class BlockStored:
    """A block of another node, or a repaired one, was accepted here; `size` is what came of it."""

    handle: Handle
    roles: Role
    repaired: bool
    size: int


@dataclass(frozen=True, slots=True)
class ReplicaDiverted:
    """This node had no room for a replica of its own; a neighbour keeps it."""

    handle: Handle
    holder: NodeId


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The query of a look-up ended here, at a copy in spare space."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class CacheMissed:
    """The query of a look-up passed on: the block it asks for is not here."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class BlockCached:
    """A block is kept in spare space from now on; `size` is in octets."""

    handle: Handle
    size: int


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """Nobody renewed the lease of a block kept here; it went to the trash."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class BlockFreed:
    """A block was in the trash for its time and is gone; `size` octets are free again."""

    handle: Handle
    size: int


@dataclass(frozen=True, slots=True)
class BlockRefused:
    """A node offered a block that was not accepted."""

    sender: NodeId
    handle: Handle
    reason: str


@dataclass(frozen=True, slots=True)
class NodeDistrusted:
    """A node sent several invalid blocks of its own making and is refused for a while."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Equivocated:
    """A single-writer key signed two bodies of one version: both are the evidence."""

    handle: Handle
    version: int
    bodies: tuple[bytes, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReplicaWentBack:
    """A node that signed for a version later stated an older one: it lost it, or hides it."""

    node: NodeId
    handle: Handle
    stored: bytes = field(repr=False)
    statement: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RangeCompared:
    """Everything that this node and another both should hold was compared."""

    peer: NodeId
    differed: bool


@dataclass(frozen=True, slots=True)
class ScrubDone:
    """Every block of the own disk was read again; so many were rotten, and are fetched again."""

    checked: int
    rotten: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CopyingPaused:
    """Much of the leaf set vanished at once; replicas are not copied elsewhere for now."""

    paused: bool


@dataclass(frozen=True, slots=True)
class BlockInserted:
    """A block of this node's own was offered: which machines took it, how many are wanted."""

    handle: Handle
    version: int
    machines: tuple[NodeId, ...]
    wanted: int

    @property
    def is_ring_durable(self) -> bool:
        """Is it on as many machines as are wanted?"""
        return len(self.machines) >= self.wanted
