"""What a device's log costs: appending to it, and opening one that another machine has written.

    python benchmarks/log_costs.py [--records 100,1000,10000] [--cluster 1,10,50] [--appends 200]

Twenty whole nodes in the simulator, one of them a user's, k = 3, every message on its way for half
a millisecond, disks that take no time: so virtual time counts round trips. CPU seconds are those of
all nodes, which run in this process. A log is opened by new machines of the same account, which
have none of it but what they keep as replicas: by one that passes over snapshots, then by another
one that takes them. Mail rests: what is measured is the log. Each of its records is a row of the
snapshot, as if nothing were ever superseded.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from epost.apps.mail.service import MailService
from epost.foundation.ids import NodeHandle
from epost.node.settings import NodeConfigs
from epost.past import log_format, reading
from epost.past.config import PastConfig
from epost.post.app_ids import AppId
from epost.post.assembly import Post
from epost.post.config import PostConfig
from epost.post.logs import chain
from epost.post.logs.device_log import DeviceLog, Origin
from epost.post.logs.entries import Entry
from epost.post.logs.snapshot_finding import Snapshot
from epost.post.logs.snapshot_format import Page
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
CLUSTERS_AT_ONCE = 40
"""Entries for so many clusters are given to the log together: 2,000 of them if M is 50, as many as
a busy mail program, or an import, keeps open."""
APP = cast(AppId, 250)
"""No application's: the log is measured, not what is folded from it."""
ROWS_PER_PAGE = 512
ROW_BYTES = 120
"""As long as mail's."""


@dataclass(frozen=True)
class Cost:
    """What something took."""

    messages: int
    octets: int
    seconds: float
    cpu_seconds: float


@dataclass
class Rows:
    """A summary with a row for each record."""

    numbers: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.numbers)

    def load(self, page: Page) -> None:
        """Take in a page of the snapshot before."""
        size = len(page.content)
        self.numbers += [
            int.from_bytes(page.content[at : at + 8], "big") for at in range(0, size, ROW_BYTES)
        ]

    def add(self, sequence: int, cluster: bytes, payload: bytes) -> None:
        """Take in the next record."""
        self.numbers.append(sequence)

    def pages(self) -> Iterator[Page]:
        """Yield everything, in order."""
        for start in range(0, len(self.numbers), ROWS_PER_PAGE):
            rows = [_row(number) for number in self.numbers[start : start + ROWS_PER_PAGE]]
            yield Page(b"", b"".join(rows))


def _row(number: int) -> bytes:
    """Return a row that is no easier to compress than a place of a mail."""
    return (number.to_bytes(8, "big") + hashlib.sha512(b"%d" % number).digest() * 2)[:ROW_BYTES]


@dataclass
class Reader:
    """Follows the log of the account's other device, and counts."""

    records: int = 0
    seen: Rows = field(default_factory=Rows)
    reached: int = 0

    def read_to(self, device: int) -> int:
        """Return how far it has read."""
        return self.reached

    async def take(self, origin: Origin, after: int, entries: Sequence[tuple[int, Entry]]) -> None:
        """Take the next records."""
        assert after == self.reached
        self.reached = entries[-1][0]
        for number, entry in entries:
            if entry.app == APP:
                self.records += 1
                self.seen.add(number, b"", entry.payload)

    async def take_snapshot(self, origin: Origin, after: int, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        assert after == self.reached
        async for page in snapshot.pages():
            self.seen.load(page)
        self.reached = snapshot.covered


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
    for module in (log_format, chain, reading):
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


async def no_mail(mail: MailService) -> None:
    """Mail does not start."""


def post_of(machine: Machine) -> Post:
    """Return the services of a user's machine that runs."""
    assert machine.node is not None
    assert machine.node.post is not None
    return machine.node.post


def log_of(machine: Machine) -> DeviceLog:
    """Return the log of a user's machine that runs."""
    return post_of(machine).services.log


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
    """Append records without waiting, very many at a time; return what it took in all."""
    office = await open_office(tail_in_head=True)
    meter = Meter(office)
    meter.begin()
    await fill(log_of(office.machines[0]), count)
    cost = meter.cost()
    await office.close()
    return cost


async def fill(log: DeviceLog, count: int) -> None:
    """Append so many records and wait until all of them are ring-durable."""
    at_once = CLUSTERS_AT_ONCE * log_format.RECORDS_PER_CLUSTER_MAX
    for first in range(0, count, at_once):
        numbers = range(first, min(first + at_once, count))
        await asyncio.gather(*[log.submit([entry(number)]) for number in numbers])
    while not log.is_ring_durable(log.sequence):
        await asyncio.sleep(HOP_SECONDS)


async def open_elsewhere(records: int) -> tuple[int, list[tuple[Cost, Reader]]]:
    """Have new machines read a log, without and with snapshots; return its clusters as well."""
    office = await open_office(tail_in_head=True)
    user = office.machines[0]
    post_of(user).snapshots.register(APP, Rows)
    await fill(log_of(user), records)
    await office.world.run_for(60.0)  # the last snapshot is made
    clusters = len({h for h in user.host.disk.durable.blocks if h.kind.name == "CLUSTER"})
    costs = [
        await open_on(office, other, takes_snapshots=takes_snapshots)
        for other, takes_snapshots in ((office.machines[1], False), (office.machines[2], True))
    ]
    await office.close()
    return clusters, costs


async def open_on(office: Office, other: Machine, *, takes_snapshots: bool) -> tuple[Cost, Reader]:
    """Have one new machine read the log of the first."""
    user, reader = office.machines[0], Reader()
    assert user.account is not None
    await other.take_account(user.account, revoke=False)
    await other.host.stop()
    other.host.start()
    meter, has_read = Meter(office), asyncio.get_running_loop().create_future()
    sequence = log_of(user).sequence

    def on_event(observed: Observed) -> None:
        event = observed.event
        is_other = observed.node == other.host.name
        is_read = isinstance(event, SiblingRead) and event.sequence >= sequence
        if is_other and is_read and not has_read.done():
            has_read.set_result(None)

    office.world.trace.listen(on_event)
    meter.begin()
    while other.node is None or other.node.post is None:
        await asyncio.sleep(HOP_SECONDS)
    if takes_snapshots:
        post_of(other).siblings.take_snapshots(APP, reader)
    post_of(other).siblings.register(APP, reader)
    await has_read
    return meter.cost(), reader


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
    print("\n Records    M  clusters  snapshots  messages    octets  seconds  CPU s  records read")
    for size in clusters:
        set_cluster_size(size)
        for count in records:
            found, costs = run(open_elsewhere(count))
            for (cost, reader), name in zip(costs, ("without", "with"), strict=True):
                assert len(set(reader.seen.numbers)) == count, "every record shows, once"
                print(
                    f"{count:8} {size:4} {found:9} {name:>10} {cost.messages:9} {cost.octets:9}"
                    f" {cost.seconds:8.2f} {cost.cpu_seconds:6.1f} {reader.records:13}",
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
    MailService.start = no_mail  # type: ignore[method-assign]  # the log is measured
    report_appends(options.appends)
    report_openings(options.records, options.cluster)
    return 0


if __name__ == "__main__":
    sys.exit(main())
