"""No ring-durable block is lost, and nothing acknowledged disappears in a crash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random

from epost.foundation.errors import EpostError, UnavailableError
from epost.foundation.ids import BlockKind, Handle, NodeId
from epost.node.assembly import Node
from epost.past.observed import BlockInserted
from epost.past.pending import receipt_handle
from epost.past.shelf import is_held, is_pointer
from epost.simulation.host import SimulatedHost
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Machine, Office
from epost.simulation.vault import SimulatedVault
from epost.simulation.world import Observed

READ_TRIES = 3


class AcknowledgedBlocks:
    """Remembers which machines acknowledged which version of which block."""

    def __init__(self, office: Office, findings: Findings) -> None:
        self._office = office
        self._findings = findings
        self.ring_durable: dict[Handle, int] = {}
        """The newest version of each block that is ring-durable."""
        self._acknowledged: dict[NodeId, dict[Handle, int]] = defaultdict(dict)
        office.world.trace.listen(self._on_event)
        office.crash_listeners.append(self._on_crash)

    def _on_event(self, observed: Observed) -> None:
        if not isinstance(observed.event, BlockInserted):
            return
        inserted = observed.event
        if inserted.is_ring_durable:
            known = self.ring_durable.get(inserted.handle, 0)
            self.ring_durable[inserted.handle] = max(known, inserted.version)
        for machine in inserted.machines:
            versions = self._acknowledged[machine]
            known = versions.get(inserted.handle, 0)
            versions[inserted.handle] = max(known, inserted.version)

    # Durable before acknowledged.

    def _on_crash(self, host: SimulatedHost, vault: SimulatedVault) -> None:
        """Whatever this host had acknowledged and still kept must be on its disk."""
        if not self._office.is_honest(host):
            return
        for handle, version in self._acknowledged[host.me.id].items():
            kept, left = vault.entry(handle), host.disk.durable.entry(handle)
            if kept is None or kept.version < version:
                continue  # it was given up in good order, perhaps for a receipt
            if left is None or left.version < version:
                text = f"{host.name} had acknowledged version {version} of {handle}"
                self._findings.violated(Invariant.DURABLE_FIRST, text)

    # No block is lost.

    async def check(self, random: Random, *, read: int, but: Sequence[BlockKind] = ()) -> None:
        """After the ring has healed: every block is on k machines, and some of them are read.

        `but` are kinds that machines were allowed to drop.
        """
        held = self._held()
        promised = [handle for handle in sorted(self.ring_durable) if handle.kind not in but]
        for handle in promised:
            self._check_copies(handle, held)
        chosen = random.sample(promised, min(read, len(promised)))
        for handle in chosen:
            await self._check_reading(handle, random.choice(self._office.running))

    def _held(self) -> Mapping[Handle, Sequence[int]]:
        """Return for each block the versions of the sound copies on honest machines."""
        held: dict[Handle, list[int]] = defaultdict(list)
        for machine in filter(lambda each: each.is_honest, self._office.running):
            for handle, stored in machine.host.disk.durable.blocks.items():
                is_copy = is_held(stored.entry) and not is_pointer(stored.entry)
                if is_copy and not stored.is_damaged and stored.is_sound():
                    held[handle].append(stored.entry.version)
        return held

    def _check_copies(self, handle: Handle, held: Mapping[Handle, Sequence[int]]) -> None:
        version = self.ring_durable[handle]
        copies = sum(one >= version for one in held.get(handle, ()))
        if handle.kind is BlockKind.PENDING:  # the receipt stands in its place
            copies = max(copies, len(held.get(receipt_handle(handle.digest), ())))
        wanted = sum(machine.is_honest for machine in self._office.replicas(handle.place))
        if copies < wanted:
            text = f"{handle}, version {version}, is on {copies} machines instead of {wanted}"
            self._findings.violated(Invariant.BLOCKS_STAY, text)

    async def _check_reading(self, handle: Handle, machine: Machine) -> None:
        node = machine.node
        assert node is not None, "every machine runs when the ring has healed"
        if handle.kind is BlockKind.PENDING:
            return  # nobody but the delegates reads it
        problem = "it is not found"
        for _ in range(READ_TRIES):
            try:
                if await _is_readable(node, handle):
                    return
            except UnavailableError as error:  # the network still loses messages
                problem = str(error)
            except EpostError as error:
                problem = str(error)
                break
        self._findings.violated(Invariant.BLOCKS_STAY, f"{handle} is not readable: {problem}")


async def _is_readable(node: Node, handle: Handle) -> bool:
    match handle.kind:
        case BlockKind.KEY | BlockKind.CERTIFICATE:
            return (await node.blocks.lookup_latest(handle)).block is not None
        case BlockKind.CLUSTER:
            return bool(await node.blocks.lookup_cluster(handle))
        case _:
            return bool(await node.blocks.lookup(handle, mirror=False))
