"""Scope of an insertion: blocks go into the ring of whoever inserts them (paper 3.2.1; design 8).

Quotas and blame rest on it. Two kinds are the exception, since they live in the recipient's ring:
pending notices and the receipts for them.
"""

from __future__ import annotations

from epost.crypto.certificates import NodeCert
from epost.foundation.errors import NotPermitted
from epost.foundation.ids import BlockKind

UNSCOPED_KINDS = frozenset({BlockKind.PENDING, BlockKind.RECEIPT})


def require_scope(inserter: NodeCert, kind: BlockKind, ring: bytes) -> None:
    """Raise NotPermitted if this node may not insert this kind of block into a ring."""
    if inserter.ring != ring and kind not in UNSCOPED_KINDS:
        raise NotPermitted(f"a node of another ring may not insert {kind.name.lower()} blocks here")
