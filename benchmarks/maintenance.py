"""What storage maintenance costs: comparing two replicas, and a ring in which nothing changes.

    python benchmarks/maintenance.py [--largest 1000000] [--machines 100] [--minutes 30]
                                     [--blocks 1000000]

The table compares two stores by the product's own messages: how many of them and how many octets it
takes until every difference is known to both sides. The figures before it are measured in the
simulator (`epost.simulation.storage.upkeep`): what is copied for a machine that goes, and what is
said after the ring has come to rest. `make figures` has them as "maintenance".
"""

from __future__ import annotations

import argparse
import hashlib
import time
from bisect import bisect_right
from collections.abc import Sequence

from epost.foundation.effects import Outbox, Send
from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle, NodeId
from epost.foundation.ports import Fingerprint, Role, Vault, VaultEntry
from epost.foundation.wire import unpack
from epost.node.fingerprints import Fingerprints
from epost.node.vault_rows import arc_ranges, behind_place, position
from epost.past.arcs import WHOLE_RING
from epost.past.comparing import Comparisons, RoundDone
from epost.past.config import PastConfig
from epost.past.messages import UPKEEP, Compared, Have, Offer, Row, Summary
from epost.simulation.storage.upkeep import at_rest, repaired

SLICE = 10_000


class Store:
    """The index of a vault in memory: as much of the port as comparing needs."""

    def __init__(self, entries: Sequence[VaultEntry]) -> None:
        self._entries = {entry.handle: entry for entry in entries}
        self._ring = sorted((position(entry.handle), entry) for entry in entries)
        self._places = [where for where, _ in self._ring]
        self._fingerprints = Fingerprints(self._between)
        while not self._fingerprints.is_whole:
            self._fingerprints.count_more(SLICE)

    def entry(self, handle: Handle) -> VaultEntry | None:
        """Return the row of a block."""
        return self._entries.get(handle)

    def entries_between(
        self, start: Id, end: Id, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        """Return rows on the arc, as the port does."""
        return self._between(start, end, after, limit)

    def fingerprint(self, start: Id, end: Id) -> Fingerprint | None:
        """Return the fingerprint of the arc."""
        return self._fingerprints.between(start, end)

    def _between(
        self, start: Id, end: Id, after: Handle | None, limit: int
    ) -> Sequence[VaultEntry]:
        found: list[VaultEntry] = []
        for behind, up_to in arc_ranges(start, end, after):
            first = bisect_right(self._places, behind)
            last = bisect_right(self._places, behind_place(up_to))
            found += [
                entry for _, entry in self._ring[first : min(last, first + limit - len(found))]
            ]
        return found


class Side:
    """One of the two nodes; counts what it sends and what it learns."""

    def __init__(self, name: bytes, store: Store) -> None:
        self.me = NodeHandle(bytes(20), name * 20, ())
        self.outbox = Outbox()
        vault: Vault = store  # type: ignore[assignment]  # the part of it that is used here
        self.comparisons = Comparisons(vault, self.outbox, self, PastConfig())
        self.missing: set[Handle] = set()
        self.messages = 0
        self.octets = 0

    def on_missing(self, row: Row, source: NodeHandle) -> None:
        """Something is missing here."""
        self.missing.add(row.handle)

    def on_confirmed(self, handle: Handle, peer: NodeId) -> None:
        """Nothing is given up here."""

    def is_settled(self, handle: Handle) -> bool:
        """There are no notices here."""
        return False

    def on_round_done(self, done: RoundDone, now: float) -> None:
        """The round is over."""

    def sent(self) -> list[bytes]:
        """Return the messages of this turn."""
        bodies = [e.message for e in self.outbox.drain() if isinstance(e, Send)]
        self.messages += len(bodies)
        self.octets += sum(map(len, bodies))
        return [unpack(body).body for body in bodies]

    def take(self, body: bytes, sender: NodeHandle) -> None:
        """Take a message of the other side."""
        match UPKEEP.decode(body):
            case Summary() as message:
                self.comparisons.on_summary(sender, message)
            case Compared() as message:
                self.comparisons.on_compared(sender, message, 0.0)
            case Offer() as message:
                self.comparisons.on_offer(sender, message, WHOLE_RING)
            case Have() as message:
                self.comparisons.on_have(sender, message, 0.0)


def entries_of(count: int, *, first: int = 0) -> list[VaultEntry]:
    """Return blocks with evenly spread handles."""
    digests = (hashlib.sha256(b"%d" % n).digest() for n in range(first, first + count))
    return [VaultEntry(Handle(BlockKind.CONTENT, d), 1, Role.REPLICA) for d in digests]


def compare(ours: Store, theirs: Store) -> tuple[Side, Side, float]:
    """Compare two stores until nothing is said any more; return the sides and the seconds."""
    asking, answering = Side(b"a", ours), Side(b"b", theirs)
    begun = time.process_time()
    asking.comparisons.begin(answering.me, [WHOLE_RING], [], 0.0)
    while bodies := asking.sent():
        for body in bodies:
            answering.take(body, asking.me)
        for body in answering.sent():
            asking.take(body, answering.me)
    return asking, answering, time.process_time() - begun


def reconciliation(largest: int) -> None:
    """Print the table of costs."""
    print("| blocks | differences | messages | octets | CPU of both, ms |")
    print("|---|---|---|---|---|")
    size = 1000
    while size <= largest:
        common = entries_of(size)
        ours = Store(common)
        for differences in (0, 1, 100):
            theirs = Store(common[differences:]) if differences else ours
            asking, answering, seconds = compare(ours, theirs)
            assert len(asking.missing | answering.missing) == differences
            messages = asking.messages + answering.messages
            octets = asking.octets + answering.octets
            print(f"| {size:,} | {differences} | {messages} | {octets:,} | {1000 * seconds:.1f} |")
        size *= 10


def quiet(machines: int, blocks: int, minutes: float) -> None:
    """Print what a ring at rest sends."""
    rest = at_rest(machines, blocks, minutes)
    print(
        f"{machines} machines at rest with {blocks:,} blocks, l=16, k=3, {minutes:g} virtual "
        f"minutes: {rest.messages:.2f} maintenance messages and {rest.octets:.0f} octets a node "
        "and minute"
    )


def repair(machines: int) -> None:
    """Print how much is copied for a machine lost for ever, and for one away for an hour."""
    for name, for_ever in (("lost for ever", True), ("away for an hour", False)):
        loss = repaired(machines, for_ever=for_ever)
        print(
            f"a machine {name}: it held {loss.held:,} octets, {loss.copied:,} were copied: "
            f"{loss.factor:.2f} x"
        )


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    repair(min(options.machines, 40))
    quiet(options.machines, options.blocks, options.minutes)
    reconciliation(options.largest)


if __name__ == "__main__":
    main()
