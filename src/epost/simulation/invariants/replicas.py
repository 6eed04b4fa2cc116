"""What replicas keep and give: only what was inserted, never older than before, and all of it.

Every disk of an honest machine is watched: a block is on it only as its writer inserted it, and is
never replaced by an older version (paper sections 2, 3.5).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from heapq import nsmallest

from epost.foundation.ids import Handle, Id, NodeId, closeness
from epost.foundation.ports import PutBlock, Write
from epost.past.shelf import is_held, is_pointer
from epost.simulation.contents import Contents
from epost.simulation.host import SimulatedHost
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office


class KnownBlocks:
    """Every block that a member ever tried to insert, by handle."""

    def __init__(self, office: Office, findings: Findings) -> None:
        self._findings = findings
        self._bodies: dict[Handle, set[bytes]] = {}
        self._office = office
        office.disk_watchers.append(self._on_durable)

    def inserted(self, handle: Handle, block: bytes) -> None:
        """A member is about to insert a block."""
        self._bodies.setdefault(handle, set()).add(block)

    def is_known(self, handle: Handle) -> bool:
        """Was it inserted by a member, and not by the authority?"""
        return handle in self._bodies

    def require_known(self, handle: Handle, block: bytes, who: str) -> None:
        """Note a violation unless the block is what was inserted under its handle."""
        if block not in self._bodies[handle]:
            text = f"{who} something under {handle} that nobody inserted"
            self._findings.violated(Invariant.ONLY_AUTHENTIC, text)

    def _on_durable(self, host: SimulatedHost, writes: Sequence[Write], before: Contents) -> None:
        if not self._office.is_honest(host):
            return
        for write in writes:
            if not isinstance(write, PutBlock) or is_pointer(write.entry):
                continue  # what a pointer leads to is judged where it lies
            handle = write.entry.handle
            if self.is_known(handle):
                self.require_known(handle, write.body, f"{host.name} keeps")
                old = before.entry(handle)
                if old is not None and old.version > write.entry.version:
                    text = f"{host.name} replaces version {old.version} of {handle} by an older one"
                    self._findings.violated(Invariant.NEVER_BACK, text)


class CompleteSets:
    """After the healing: each honest machine among the k closest holds each block's newest."""

    def __init__(self, office: Office, findings: Findings, blocks: AcknowledgedBlocks) -> None:
        self._office = office
        self._findings = findings
        self._blocks = blocks

    def missing(self) -> list[str]:
        """Return what is not as it should be, a sentence each."""
        ring = sorted(self._office.running, key=lambda machine: machine.node_id)
        ids = [machine.node_id for machine in ring]
        return [
            f"{machine.name} lacks version {version} of {handle}"
            for handle, version in sorted(self._blocks.ring_durable.items())
            for machine in self._replicas(handle.place, ring, ids)
            if machine.is_honest and not _holds(machine, handle, version)
        ]

    def _replicas(
        self, place: Id, ring: Sequence[Machine], ids: Sequence[NodeId]
    ) -> Sequence[Machine]:
        """Return the k closest of a sorted ring: they are among the k on either side."""
        k, at = self._office.replication_factor, bisect_left(ids, place)
        around = sorted({(at + step) % len(ring) for step in range(-k, k)})
        return nsmallest(k, (ring[i] for i in around), key=lambda m: closeness(place, m.node_id))

    def check(self) -> None:
        """Note a violation unless every replica set is complete."""
        missing = self.missing()
        if missing:
            text = f"{len(missing)} copies are missing, e.g. {missing[0]}"
            self._findings.violated(Invariant.SETS_COMPLETE, text)


def _holds(machine: Machine, handle: Handle, version: int) -> bool:
    stored = machine.host.disk.durable.blocks.get(handle)
    if stored is None or stored.is_damaged or not stored.is_sound():
        return False
    return is_held(stored.entry) and stored.entry.version >= version
