"""The newest version wins: what readers are given, and whether a replica or a log goes back."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from epost.crypto.versioned import open_key_block
from epost.foundation.errors import EpostError, StaleVersion
from epost.foundation.ids import Handle, NodeId
from epost.node.assembly import Node
from epost.past.client import Reading
from epost.past.observed import Equivocated, ReplicaWentBack
from epost.post.observed import DeviceExistsTwice
from epost.simulation.invariants.blocks import AcknowledgedBlocks
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office
from epost.simulation.world import Observed


class NewestVersions:
    """Reads mutable blocks on behalf of members and compares what they are given.

    A reading is never older than one that the same process was given before, and a confirmed one
    not older than what was ring-durable when it began (paper 3.5; design 3).
    """

    def __init__(
        self,
        office: Office,
        findings: Findings,
        blocks: AcknowledgedBlocks,
        *,
        is_whole: Callable[[], bool] = lambda: True,
        may_fork: Callable[[object], bool] = lambda _: False,
    ) -> None:
        """While the ring is not whole, what is ring-durable in one part is not in another.

        `may_fork` is asked about a host's name, or a handle, of which there were two writers.
        """
        self._office = office
        self._is_whole = is_whole
        self._may_fork = may_fork
        self._findings = findings
        self._blocks = blocks
        self._seen: WeakKeyDictionary[Node, dict[Handle, int]] = WeakKeyDictionary()
        self.readings = 0
        self.unconfirmed = 0
        self.unavailable = 0
        office.world.trace.listen(self._on_event)

    async def read(self, machine: Machine, handle: Handle) -> None:
        """Have a running machine read a public-key block."""
        node = machine.node
        assert node is not None
        floor = self._blocks.ring_durable.get(handle, 0) if self._is_whole() else 0
        self.readings += 1
        try:
            reading = await node.blocks.lookup_latest(handle)
        except StaleVersion:
            self.unavailable += 1
            if floor and self._is_whole():
                text = f"{machine.name} finds only old versions of {handle}"
                self._findings.violated(Invariant.NEWEST_WINS, text)
            return
        except (EpostError, OSError):
            self.unavailable += 1
            return
        if machine.node is node:
            self._judge(machine, node, handle, reading, floor)

    def _judge(
        self, machine: Machine, node: Node, handle: Handle, reading: Reading, floor: int
    ) -> None:
        version = 0 if reading.block is None else open_key_block(reading.block).body.version
        memory = self._seen.setdefault(node, {})
        seen = memory.get(handle, 0)
        if version < seen:
            text = f"{machine.name} had seen version {seen} of {handle}, is given {version}"
            self._findings.violated(Invariant.NEWEST_WINS, text)
        memory[handle] = max(seen, version)
        if not reading.confirmed:
            self.unconfirmed += 1
        elif version < floor and self._is_whole():
            text = f"version {floor} of {handle} is ring-durable, {machine.name} is given {version}"
            self._findings.violated(Invariant.NEWEST_WINS, text)

    def _on_event(self, observed: Observed) -> None:
        match observed.event:
            case ReplicaWentBack(node, handle) if self._must_keep(node, handle):
                text = f"{node[:4].hex()} went back to an older version of {handle}"
            case Equivocated(handle, version) if not self._may_fork(handle):
                text = f"two bodies of version {version} of {handle}"
            case DeviceExistsTwice() if not self._may_fork(observed.node):
                text = f"{observed.node} believes that it was cloned"
            case _:
                return
        self._findings.violated(Invariant.NEWEST_WINS, text)

    def _must_keep(self, node: NodeId, handle: Handle) -> bool:
        """Is the node no liar, and was neither its disk replaced by an older one nor the block?"""
        machines = [machine for machine in self._office.machines if machine.node_id == node]
        is_kept = all(m.is_honest and not self._may_fork(m.host.name) for m in machines)
        return is_kept and not self._may_fork(handle)
