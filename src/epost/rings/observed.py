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


@dataclass(frozen=True, slots=True)
class CertificateAged:
    """A linked node should have renewed its certificate; from `refused_from_ms` no link is made."""

    node: NodeId
    refused_from_ms: int


@dataclass(frozen=True, slots=True)
class AuthoritySilent:
    """No issuer published a block in time; 30 days after `due_ms` strangers are not linked."""

    due_ms: int
