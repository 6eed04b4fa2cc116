"""Who filled this node with what, and how much more each may (paper 3.5; crypto 10).

Every octet kept for the ring is put down to the member whose node signed its ticket. The quota of a
member is the ring's. One node bears 8 times its fair share of it and 64 MiB, since a member can aim
unique blocks at a chosen node, and never more than the whole of it. Past that, logs may still grow
by 64 MiB: who is over quota can be told so, and can delete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from epost.crypto.certificates import NodeCert
from epost.crypto.hashing import u64
from epost.foundation.errors import QuotaExceeded
from epost.foundation.ports import PutNote
from epost.past.config import MEBIBYTE, PastConfig
from epost.past.pending import PendingMark
from epost.rings.policy import Policy

NOTES = "past.usage"
SKEW_FACTOR = 8
_NUMBER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Usage:
    """What one member (or all of them) had this node keep for the ring."""

    octets: int = 0
    blocks: int = 0
    notices: int = 0

    def plus(self, octets: int, blocks: int, notices: int) -> Usage:
        """Return the usage after more was stored, or less; never below nothing."""
        return Usage(
            max(0, self.octets + octets),
            max(0, self.blocks + blocks),
            max(0, self.notices + notices),
        )

    def encode(self) -> bytes:
        """Return the value of the note."""
        return u64(self.octets) + u64(self.blocks) + u64(self.notices)

    @classmethod
    def decode(cls, value: bytes) -> Usage:
        """Read the value of a note; one of an older version has the octets alone."""
        numbers = [value[at : at + _NUMBER_BYTES] for at in range(0, len(value), _NUMBER_BYTES)]
        return cls(*(int.from_bytes(number, "big") for number in numbers))


@dataclass(frozen=True, slots=True)
class Attribution:
    """What `epost status` shows of it: totals over all members, and how many were refused."""

    members: int
    used: Usage
    refused: int


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
        self._used = {tag: Usage.decode(value) for tag, value in notes.notes(NOTES)}
        self._changed: dict[bytes, None] = {}
        self._refused = 0

    def require(self, inserter: NodeCert, size: int, *, is_of_log: bool = False) -> None:
        """Raise QuotaExceeded if this member may not fill so much more of this node."""
        allowed = self._allowed(inserter)
        if allowed is None:
            return
        allowed += self._free_bytes if is_of_log else 0
        if self.used_by(inserter).octets + size > allowed:
            self._refused += 1
            raise QuotaExceeded("the member's allowance at this node is used up")

    def charge(self, inserter: NodeCert, octets: int, *, blocks: int = 0, notices: int = 0) -> None:
        """Count what was stored; negative when it was removed."""
        tag = inserter.member_tag
        self._used[tag] = self.used_by(inserter).plus(octets, blocks, notices)
        self._changed[tag] = None

    def used_by(self, inserter: NodeCert) -> Usage:
        """Return what this member's nodes had this node keep."""
        return self._used.get(inserter.member_tag, Usage())

    def attribution(self) -> Attribution:
        """Return the totals; cheap enough for every look at the status."""
        total = Usage()
        for used in self._used.values():
            total = total.plus(used.octets, used.blocks, used.notices)
        return Attribution(
            sum(1 for u in self._used.values() if u != Usage()), total, self._refused
        )

    def changes(self) -> list[PutNote]:
        """Return the notes to write since the last call."""
        changed = [PutNote(NOTES, tag, self._used[tag].encode()) for tag in self._changed]
        self._changed.clear()
        return changed

    def _allowed(self, inserter: NodeCert) -> int | None:
        policy = self._policy()
        if inserter.quota_class >= len(policy.quotas) or not policy.quotas[inserter.quota_class]:
            return None
        quota = policy.quotas[inserter.quota_class] * MEBIBYTE
        nodes = max(policy.replication_factor, policy.enrolled_storage_nodes, 1)
        share = SKEW_FACTOR * quota * policy.replication_factor // nodes + self._free_bytes
        return min(quota, share)  # one node keeps a block once, however small the ring


class PendingAllowances:
    """Bounds the pending notices of one origin for one recipient; refilled at each start.

    Of that, a member may use as much as is left for the others: so a single one half of it, and
    whoever floods a recipient with notices does not keep everybody else's away from her.
    """

    def __init__(self, config: PastConfig) -> None:
        self._config = config
        self._held: dict[tuple[bytes, bytes], tuple[int, int]] = {}
        """Count and octets by ring (or member) and recipient."""

    def require(self, inserter: NodeCert, mark: PendingMark, size: int) -> None:
        """Raise QuotaExceeded if the recipient has too many from this ring or member already."""
        count, held = self._of(inserter.ring, mark)
        count_of_member, held_of_member = self._of(inserter.member_tag, mark)
        count_left = self._config.pending_count_max - count
        bytes_left = self._config.pending_bytes_max - held
        if count_of_member >= count_left or held_of_member + size > bytes_left:
            raise QuotaExceeded("too much is waiting for this recipient")

    def add(self, inserter: NodeCert, mark: PendingMark, size: int) -> None:
        """Count a notice that is held."""
        for origin in (inserter.ring, inserter.member_tag):
            count, held = self._of(origin, mark)
            self._held[origin, mark.to_account] = (count + 1, held + size)

    def remove(self, inserter: NodeCert, mark: PendingMark, size: int) -> None:
        """Count a notice no longer."""
        for origin in (inserter.ring, inserter.member_tag):
            count, held = self._of(origin, mark)
            if count <= 1:
                self._held.pop((origin, mark.to_account), None)
            else:
                self._held[origin, mark.to_account] = (count - 1, max(0, held - size))

    def _of(self, origin: bytes, mark: PendingMark) -> tuple[int, int]:
        return self._held.get((origin, mark.to_account), (0, 0))
