"""What it costs to keep replica sets complete: a ring at rest, and a machine that goes.

Whole nodes in the simulator, their messages counted. A large store is put on the disks as the
placement rules would have it (`filled`), since a million insertions measure nothing more.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from epost.foundation.ids import BlockKind, Handle, NodeId, number
from epost.foundation.ports import Role, VaultEntry
from epost.past.arcs import Arc, replica_arc
from epost.simulation.clock import run
from epost.simulation.contents import Contents
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.overlay.figure import Figure, Progress, Target
from epost.simulation.overlay.statistics import exactly
from epost.simulation.storage.metering import Meter

INSERTED_MAX = 1000
"""Blocks up to here are inserted as users do; more are put on the disks."""
BLOCK = b"placed, not inserted"
SETTLING_SECONDS = 1800.0
REPAIR_SECONDS = 3600.0
MESSAGES_MAX, COPIED_MAX = 4, 1.1
"""Of a node and minute when nothing changes; of an octet that was lost for ever."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Maintenance of one node in one minute when nothing changes."""

    messages: float
    octets: float


@dataclass(frozen=True, slots=True)
class Loss:
    """What a machine held, and what was copied because it went; in octets."""

    held: int
    copied: int

    @property
    def factor(self) -> float:
        """Octets copied for each that it held."""
        return self.copied / self.held


@asynccontextmanager
async def metered_office(
    machines: int, blocks: int, size: int = 1
) -> AsyncIterator[tuple[Office, Meter]]:
    """Open an office of machines that only store, with so many content blocks in it."""
    meter = Meter()
    office = Office(1, OfficeConfig(machines, users=0), replace(SOUND, node=meter.node_type()))
    await office.open()
    # Else the last machine displaces whoever took blocks before it was known, and these copies,
    # surplus for 14 days, are there already when it is lost.
    await office.world.run_for(60.0)
    if blocks > INSERTED_MAX:
        fill(office, blocks)
    else:
        node = office.machines[3].node
        assert node is not None
        bodies = [(BlockKind.CONTENT, b"%06d" % n * size) for n in range(blocks)]
        await node.blocks.insert_many(bodies, mirror=False)
    yield office, meter
    await office.close()


def at_rest(machines: int, blocks: int, minutes: float, settling: float = SETTLING_SECONDS) -> Rest:
    """Measure what a ring at rest sends, after some virtual seconds of settling."""

    async def story() -> Rest:
        async with metered_office(machines, blocks) as (office, meter):
            await office.world.run_for(settling)
            messages, octets = meter.messages, meter.octets
            await office.world.run_for(60 * minutes)
            each = machines * minutes
            return Rest((meter.messages - messages) / each, (meter.octets - octets) / each)

    return run(story())


def repaired(machines: int, *, for_ever: bool, blocks: int = 400, size: int = 1000) -> Loss:
    """Measure what is copied for a machine lost for ever, or away for an hour and back."""

    async def story() -> Loss:
        async with metered_office(machines, blocks, size) as (office, meter):
            await office.world.run_for(SETTLING_SECONDS / 2)
            machine = office.machines[-1]
            held = machine.host.disk.durable.totals.contributed_bytes
            before = meter.octets_copied
            machine.host.crash(with_machine=True)
            if for_ever:
                office.organisation.revoke(machine.node_id)
            await office.world.run_for(REPAIR_SECONDS)
            if not for_ever:
                machine.host.start()
                await office.world.run_for(SETTLING_SECONDS / 2)
            return Loss(held, meter.octets_copied - before)

    return run(story())


def fill(office: Office, blocks: int) -> None:
    """Put blocks on the disks of their k machines, at one moment and unnoticed by anybody.

    They have no tickets, so they can be compared and not given: for rings in which nothing changes.
    """
    digests = sorted(hashlib.sha256(b"%d" % n).digest() for n in range(blocks))
    entries = [
        VaultEntry(Handle(BlockKind.CONTENT, digest), len(BLOCK), Role.REPLICA)
        for digest in digests
    ]
    places = [number(entry.handle.place) for entry in entries]
    ring = sorted(machine.node_id for machine in office.machines)
    for machine in office.machines:
        _fill(machine, _on_arc(entries, places, _arc(machine.node_id, ring, office)))


def _fill(machine: Machine, entries: Sequence[VaultEntry]) -> None:
    contents = Contents.holding(entries, BLOCK)
    contents.notes = machine.host.disk.durable.notes
    machine.host.vault.become(contents)


def _arc(node_id: NodeId, ring: Sequence[NodeId], office: Office) -> Arc:
    return replica_arc(node_id, ring, office.replication_factor)


def _on_arc(entries: Sequence[VaultEntry], places: Sequence[int], arc: Arc) -> list[VaultEntry]:
    """Return the entries, sorted by place, that lie on an arc; sorted as they were."""
    first = bisect_right(places, number(arc.start))
    last = bisect_right(places, number(arc.end))
    if number(arc.start) < number(arc.end):
        return list(entries[first:last])
    return [*entries[:last], *entries[first:]]


def upkeep_figures(progress: Progress, *, full: bool) -> Sequence[Figure]:
    """Return what a ring at rest says, and how much is copied for what is lost."""
    machines, blocks, minutes = (100, 1_000_000, 30) if full else (20, 20_000, 10)
    rest = at_rest(machines, blocks, minutes)
    progress(f"{machines} machines, {blocks:,} blocks at rest: {rest}")
    small = min(machines, 40)
    lost, away = (repaired(small, for_ever=for_ever) for for_ever in (True, False))
    progress(f"lost for ever {lost}, away for an hour {away}")
    name = f"storage maintenance, l=16, k=3, {blocks:,} blocks, nothing changes: "
    return [
        Figure(
            name + "messages/node/minute",
            machines,
            machines * minutes,
            exactly(rest.messages),
            Target(at_most=MESSAGES_MAX),
            seeds=(1,),
        ),
        Figure(
            name + "octets/node/minute", machines, machines * minutes, exactly(rest.octets),
            seeds=(1,),
        ),
        Figure(
            "octets copied for each on a machine lost for ever",
            small,
            1,
            exactly(lost.factor),
            Target(at_most=COPIED_MAX),
            seeds=(1,),
        ),
        Figure(
            "octets copied for each on a machine away for an hour (transient)",
            small, 1, exactly(away.factor), seeds=(1,),
        ),
    ]  # fmt: skip
