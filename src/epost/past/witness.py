"""Remembering which version each node signed for, to notice one that goes back (crypto 4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epost.foundation.bounded import BoundedDict
from epost.foundation.errors import EpostError
from epost.foundation.ids import Handle, NodeId
from epost.past.attestations import open_statement, open_stored
from epost.past.lookup import Said
from epost.past.observed import ReplicaWentBack
from epost.past.surroundings import Surroundings
from epost.past.tickets import NodeCertificates

REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a node signed that it keeps, and when this node saw it, in seconds."""

    version: int
    attestation: bytes
    seen_at: float


class Witness:
    """Holds the newest `stored` of each node and block, in memory.

    Both signatures are verified only when they seem to contradict: then they are evidence for
    anybody. A node may have lost its disk, so nothing follows by itself. To hold nothing is no
    contradiction: a stand-in hands over, a replica whose arc shrank gives its surplus up.
    """

    def __init__(self, around: Surroundings, certificates: NodeCertificates) -> None:
        self._around = around
        self._certificates = certificates
        self._stored: BoundedDict[tuple[NodeId, Handle], _Stored] = BoundedDict(REMEMBERED_MAX)

    def saw_stored(self, node: NodeId, handle: Handle, version: int, attestation: bytes) -> None:
        """A node signed that it keeps a version."""
        if attestation:
            now = self._around.clock.now()
            self._stored.put((node, handle), _Stored(version, attestation, now))

    def saw_statements(
        self, handle: Handle, said: Sequence[Said], nonce: bytes, *, asked_at: float
    ) -> None:
        """Compare what nodes state with what they had signed for before they were asked."""
        for one in said:
            known = self._stored.get((one.node, handle))
            if known is None or known.seen_at >= asked_at:
                continue  # a write went on beside the reading: the statement may be the older one
            if one.fetched and one.fetched.proven.version < known.version:
                self._accuse(one, handle, known.attestation, nonce)

    def _accuse(self, said: Said, handle: Handle, stored: bytes, nonce: bytes) -> None:
        now_ms = self._around.clock.wall_ms()
        try:
            keeper, kept = open_stored(stored, self._certificates, now_ms)
            speaker, stated = open_statement(
                said.statement, self._certificates, now_ms, nonce=nonce
            )
        except EpostError:
            return  # not evidence
        same = keeper.id == speaker.id == said.node and kept.handle == stated.handle == handle
        if same and stated.version < kept.version:
            self._around.observer.record(ReplicaWentBack(said.node, handle, stored, said.statement))
