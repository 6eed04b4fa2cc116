"""Which version wins: the rules of crypto 4.2 and 6.2, as pure functions."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from epost.foundation.errors import NotPermitted
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import VaultEntry
from epost.past.blocks import Proven
from epost.past.pending import RECEIPT_MARK


class Verdict(Enum):
    """What a replica does with a verified block."""

    STORE = "store"
    STORED_ALREADY = "stored already"
    CONFLICT = "conflict"
    STALE = "stale"
    SETTLED = "settled"
    """A pending notice whose recipient signed for it: it never comes back."""


class Versioned(Protocol):
    """Anything with a place in the order of versions."""

    @property
    def handle(self) -> Handle:
        """What it is a version of."""
        ...

    @property
    def version(self) -> int:
        """The counter."""
        ...

    @property
    def body_hash(self) -> bytes:
        """Decides between two bodies of one version."""
        ...


def order(block: Versioned) -> tuple[int, bytes]:
    """Return a sort key: newest last, ties by digest (design 3)."""
    return block.version, block.body_hash


def judge_fresh(stored: VaultEntry | None, offered: Proven) -> Verdict:
    """Judge a block that its writer inserts now; raises NotPermitted.

    A writer must know what she replaces: anything stored that is not older and not the same is
    answered as a conflict, or as stale, so that she can merge and try again.
    """
    if stored is None:
        return Verdict.STORE
    if stored.handle.kind is BlockKind.KEY and offered.proof != stored.proof:
        raise NotPermitted("the purpose of a key never changes")
    verdict = _by_version(stored, offered)
    continues = offered.version != stored.version + 1 or offered.previous == stored.body_hash
    if verdict is Verdict.STORE and offered.handle.kind is BlockKind.KEY and not continues:
        return Verdict.CONFLICT
    return verdict


def judge_repair(stored: VaultEntry | None, offered: Proven) -> Verdict:
    """Judge a block that another replica holds: replicas converge on the newest.

    That two writers met was told to them when they inserted.
    """
    if stored is None:
        return Verdict.STORE
    verdict = _by_version(stored, offered)
    if verdict is Verdict.CONFLICT:
        return Verdict.STORE if order(offered) > order(stored) else Verdict.STALE
    return verdict


def _by_version(stored: VaultEntry, offered: Proven) -> Verdict:
    match offered.handle.kind:
        case BlockKind.CONTENT | BlockKind.PENDING:
            return Verdict.STORED_ALREADY
        case BlockKind.RECEIPT:
            return _judge_receipt(stored, offered)
        case BlockKind.KEY | BlockKind.CERTIFICATE | BlockKind.CLUSTER:
            return _judge_versions(stored, offered)


def _judge_versions(stored: VaultEntry, offered: Proven) -> Verdict:
    if offered.version > stored.version:
        return Verdict.STORE
    if offered.version < stored.version:
        return Verdict.STALE
    # Bodies are compared, not bytes: signatures of a dishonest signer may differ (crypto 4.2).
    same = offered.body_hash == stored.body_hash
    return Verdict.STORED_ALREADY if same else Verdict.CONFLICT


def _judge_receipt(stored: VaultEntry, offered: Proven) -> Verdict:
    held, new = RECEIPT_MARK.decode(stored.proof), RECEIPT_MARK.decode(offered.proof)
    if held.account_id != new.account_id:
        # Which account the notice is for is known while it is held; then it was asked before.
        return Verdict.STALE
    return Verdict.STORE if offered.version > stored.version else Verdict.STORED_ALREADY
