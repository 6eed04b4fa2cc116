"""How much of this node each member may fill (paper 3.5; crypto 10).

The quota of a member is the ring's; one node bears 8 times its fair share of it and 64 MiB, since
a member can aim unique blocks at a chosen node. What a member used here is kept in the notes, to
the minute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from epost.crypto.certificates import NodeCert
from epost.foundation.errors import QuotaExceeded
from epost.foundation.ports import PutNote
from epost.past.config import MEBIBYTE, PastConfig
from epost.past.pending import PendingMark
from epost.rings.policy import Policy

NOTES = "past.usage"
SKEW_FACTOR = 8


class Notes(Protocol):
    """What the vault remembers."""

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        ...


class Allowances:
    """Charges blocks to the members whose nodes inserted them."""

    def __init__(self, notes: Notes, policy: Callable[[], Policy], config: PastConfig) -> None:
        self._free_bytes = config.allowance_free_bytes
        self._policy = policy
        self._used = {tag: int.from_bytes(used, "big") for tag, used in notes.notes(NOTES)}
        self._changed: dict[bytes, None] = {}

    def require(self, inserter: NodeCert, size: int) -> None:
        """Raise QuotaExceeded if this member may not fill so much more of this node."""
        allowed = self._allowed(inserter)
        if allowed is not None and self._used.get(inserter.member_tag, 0) + size > allowed:
            raise QuotaExceeded("the member's allowance at this node is used up")

    def charge(self, inserter: NodeCert, size: int) -> None:
        """Count what was stored; negative when it was removed."""
        tag = inserter.member_tag
        self._used[tag] = max(0, self._used.get(tag, 0) + size)
        self._changed[tag] = None

    def changes(self) -> list[PutNote]:
        """Return the notes to write since the last call."""
        changed = [PutNote(NOTES, tag, self._used[tag].to_bytes(8, "big")) for tag in self._changed]
        self._changed.clear()
        return changed

    def _allowed(self, inserter: NodeCert) -> int | None:
        policy = self._policy()
        if inserter.quota_class >= len(policy.quotas) or not policy.quotas[inserter.quota_class]:
            return None
        quota = policy.quotas[inserter.quota_class] * MEBIBYTE
        nodes = max(policy.replication_factor, policy.enrolled_storage_nodes, 1)
        return SKEW_FACTOR * quota * policy.replication_factor // nodes + self._free_bytes


class PendingAllowances:
    """Bounds the pending notices of one origin for one recipient; refilled at each start."""

    def __init__(self, config: PastConfig) -> None:
        self._config = config
        self._held: dict[tuple[bytes, bytes], tuple[int, int]] = {}

    def require(self, origin: bytes, mark: PendingMark, size: int) -> None:
        """Raise QuotaExceeded if the recipient has too many from this ring already."""
        count, held = self._held.get((origin, mark.to_account), (0, 0))
        config = self._config
        if count >= config.pending_count_max or held + size > config.pending_bytes_max:
            raise QuotaExceeded("too much is waiting for this recipient")

    def add(self, origin: bytes, mark: PendingMark, size: int) -> None:
        """Count a notice that is held."""
        count, held = self._held.get((origin, mark.to_account), (0, 0))
        self._held[origin, mark.to_account] = (count + 1, held + size)

    def remove(self, origin: bytes, mark: PendingMark, size: int) -> None:
        """Count a notice no longer."""
        count, held = self._held.get((origin, mark.to_account), (0, 0))
        if count <= 1:
            self._held.pop((origin, mark.to_account), None)
        else:
            self._held[origin, mark.to_account] = (count - 1, max(0, held - size))
