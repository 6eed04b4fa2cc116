"""What the rings package tells the observer."""

from __future__ import annotations

from dataclasses import dataclass, field

from epost.crypto.signing import Kind
from epost.foundation.ids import NodeId


@dataclass(frozen=True, slots=True)
class NewsAccepted:
    """A newer root or issuer block is in force."""

    purpose: Kind
    version: int


@dataclass(frozen=True, slots=True)
class NewsRefused:
    """A block of the authority did not verify; `sender` is None if it came from the own notes."""

    sender: NodeId | None
    reason: str


@dataclass(frozen=True, slots=True)
class IssuerEquivocated:
    """An issuer signed two blocks of one number: both together prove it to anybody."""

    issuer: int
    held: bytes = field(repr=False)
    other: bytes = field(repr=False)
