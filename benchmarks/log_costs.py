"""What a device's log costs: appending to it, and opening one that another machine has written.

    python benchmarks/log_costs.py [--records 100,1000,10000] [--cluster 1,10,50] [--appends 200]

Twenty whole nodes in the simulator, one of them a user's, k = 3, every message on its way for half
a millisecond, disks that take no time: so virtual time counts round trips. CPU seconds are those of
all nodes, which run in this process. A log is opened by a new machine of the same account, which
has none of it but what it keeps as a replica.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from epost.foundation.ids import NodeHandle
from epost.node.settings import NodeConfigs
from epost.past import log_format, reading
from epost.past.config import PastConfig
from epost.post import log_chain
from epost.post.app_ids import AppId
from epost.post.config import PostConfig
from epost.post.device_log import DeviceLog
from epost.post.log_records import Entry
from epost.post.observed import SiblingRead
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.network import NetworkConfig, SimulatedTransport
from epost.simulation.office import Machine, Office, OfficeConfig
from epost.simulation.vault import DiskConfig
from epost.simulation.world import Observed

HOP_SECONDS = 0.0005
PAYLOAD_BYTES = 200
"""A flag change or a move; a mail's record is larger by what rides in it."""
MACHINES = 20
"""Enough that the new machine is no replica of most of the log itself."""
AT_ONCE = 2_000
"""Entries given to the log together: as many as a busy mail program, or an import, keeps open."""
APP = cast(AppId, 250)
"""No application's: the log is measured, not what is folded from it."""


@dataclass(frozen=True)
class Cost:
    """What something took."""

    messages: int
    octets: int
    seconds: float
    cpu_seconds: float


class Meter:
    """Counts what the network of an office carries from one machine to another."""

    def __init__(self, office: Office) -> None:
        self.messages = self.octets = 0
        self._loop = asyncio.get_running_loop()
        carry = office.world.network.carry

        def counting(sender: SimulatedTransport, to: NodeHandle, message: bytes) -> None:
            if to.node_id != sender.me.node_id:
                self.messages += 1
                self.octets += len(message)
            carry(sender, to, message)

        office.world.network.carry = counting  # type: ignore[method-assign]  # a meter, not a fake
        self._begun = (0, 0, 0.0, 0.0)

    def begin(self) -> None:
        """Measure from now on."""
        self._begun = (self.messages, self.octets, self._loop.time(), time.process_time())

    def cost(self) -> Cost:
        """Return what it took since."""
        messages, octets, seconds, cpu = self._begun
        return Cost(
            self.messages - messages,
            self.octets - octets,
            self._loop.time() - seconds,
            time.process_time() - cpu,
        )


def set_cluster_size(records: int) -> None:
    """Have every part of this process close a cluster after so many records.

    The product has no such setting: M is part of the format. The benchmark is to show why it is 50.
    """
    for module in (log_format, log_chain, reading):
        module.RECORDS_PER_CLUSTER_MAX = records  # type: ignore[attr-defined]  # see above


async def open_office(*, tail_in_head: bool) -> Office:
    """Return quiet machines, the first one a user's."""
    nodes = NodeConfigs(
        # Little else may go on while messages are counted.
        past=PastConfig(tick_seconds=30.0),
        post=PostConfig(tail_in_head=tail_in_head, sibling_seconds=1.0, presence_seconds=1e6),
    )
    network = NetworkConfig(
        latency_seconds_min=HOP_SECONDS, latency_seconds_max=HOP_SECONDS, jitter=0.0, loss=0.0
    )
    disk = DiskConfig(commit_seconds_min=0.0, commit_seconds_max=0.0, load_seconds_max=0.0)
    config = OfficeConfig(machines=MACHINES, users=1, nodes=nodes, network=network)
    office = Office(1, config, replace(SOUND, disk=disk))
    await office.open()
    await office.world.run_for(60.0)
    return office


def log_of(machine: Machine) -> DeviceLog:
    """Return the log of a user's machine that runs."""
    assert machine.node is not None
    assert machine.node.post is not None
    return machine.node.post.services.log


async def append_one_by_one(count: int, *, tail_in_head: bool) -> Cost:
    """Append records one after the other, each when the one before is ring-durable."""
    office = await open_office(tail_in_head=tail_in_head)
    log, meter = log_of(office.machines[0]), Meter(office)
    meter.begin()
    for number in range(count):
        appended = await log.append([entry(number)])
        assert appended.durability.ring_durable
    cost = meter.cost()
    await office.close()
    return cost


async def append_together(count: int) -> Cost:
    """Append records without waiting, `AT_ONCE` at a time; return what it took in all."""
    office = await open_office(tail_in_head=True)
    meter = Meter(office)
    meter.begin()
    await fill(log_of(office.machines[0]), count)
    cost = meter.cost()
    await office.close()
    return cost


async def fill(log: DeviceLog, count: int) -> None:
    """Append so many records and wait until all of them are ring-durable."""
    for first in range(0, count, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, count))
        await asyncio.gather(*[log.submit([entry(number)]) for number in numbers])
    while not log.is_ring_durable(log.sequence):
        await asyncio.sleep(HOP_SECONDS)


async def open_elsewhere(records: int) -> tuple[int, Cost]:
    """Have a new machine read a log; return how many clusters that has, and what it took."""
    office = await open_office(tail_in_head=True)
    user, other = office.machines[0], office.machines[1]
    await fill(log_of(user), records)
    assert user.account is not None
    await other.take_account(user.account, revoke=False)
    await other.host.stop()
    other.host.start()
    meter, has_read = Meter(office), asyncio.get_running_loop().create_future()
    sequence = log_of(user).sequence

    def on_event(observed: Observed) -> None:
        event = observed.event
        is_other = observed.node == other.host.name
        if is_other and isinstance(event, SiblingRead) and event.sequence >= sequence:
            has_read.set_result(None)

    office.world.trace.listen(on_event)
    meter.begin()
    await has_read
    cost = meter.cost()
    clusters = len({h for h in user.host.disk.durable.blocks if h.kind.name == "CLUSTER"})
    await office.close()
    return clusters, cost


def entry(number: int) -> Entry:
    """Return an entry of the usual size."""
    return Entry(APP, number.to_bytes(8, "big") * (PAYLOAD_BYTES // 8))


def report_appends(count: int) -> None:
    """Print what appends cost."""
    print("Appends           messages  octets  round trips  CPU ms  (each)")
    for name, tail_in_head in (("tail in the head", True), ("cluster, then head", False)):
        cost = run(append_one_by_one(count, tail_in_head=tail_in_head))
        trips = cost.seconds / count / (2 * HOP_SECONDS)
        print(
            f"{name:18} {cost.messages / count:7.1f} {cost.octets / count:7.0f} {trips:12.1f}"
            f" {1000 * cost.cpu_seconds / count:7.2f}",
            flush=True,
        )
    together = 20 * count
    cost = run(append_together(together))
    print(
        f"{'together':18} {cost.messages / together:7.2f} {cost.octets / together:7.0f}"
        f" {'':12} {1000 * cost.cpu_seconds / together:7.2f}"
        f"   {together / cost.cpu_seconds:.0f} appends a CPU second,"
        f" {together / cost.seconds:.0f} a virtual second",
        flush=True,
    )


def report_openings(records: Sequence[int], clusters: Sequence[int]) -> None:
    """Print what it takes to open a log."""
    print("\n Records    M  clusters  messages    octets  seconds  CPU s")
    for size in clusters:
        set_cluster_size(size)
        for count in records:
            found, cost = run(open_elsewhere(count))
            print(
                f"{count:8} {size:4} {found:9} {cost.messages:9} {cost.octets:9}"
                f" {cost.seconds:8.2f} {cost.cpu_seconds:6.1f}",
                flush=True,
            )


def numbers(text: str) -> Sequence[int]:
    """Return the numbers of `1,10,50`."""
    return [int(part) for part in text.split(",")]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=numbers, default=[100, 1000, 10_000])
    parser.add_argument("--cluster", type=numbers, default=[1, 10, 50])
    parser.add_argument("--appends", type=int, default=200)
    options = parser.parse_args()
    report_appends(options.appends)
    report_openings(options.records, options.cluster)
    return 0


if __name__ == "__main__":
    sys.exit(main())
