"""Filling the routing table and keeping its entries alive (Pastry 2.5; lazy repair).

A hole costs hops, never correctness, so all of this is slow and bounded: hints of others are
pinged before they enter, rows are compared every quarter of an hour, entries that were silent for
so long are pinged, and one that failed makes us ask its row-mates for a replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from epost.foundation.codec import encode
from epost.foundation.ids import NodeHandle
from epost.foundation.wire import Application
from epost.pastry.config import COMPARISON_SECONDS_MIN, HANDLES_MAX
from epost.pastry.leaf_set import LeafSet
from epost.pastry.messages import Hints, RowRequest
from epost.pastry.prober import Prober, Reason
from epost.pastry.round_trips import RoundTrips
from epost.pastry.routing_table import RoutingTable
from epost.pastry.surroundings import Surroundings


class TableUpkeep:
    """Looks after one routing table."""

    TIMER = "table"

    def __init__(
        self,
        tables: tuple[RoutingTable, RoutingTable],
        leaf_set: LeafSet,
        prober: Prober,
        round_trips: RoundTrips,
        around: Surroundings,
        heard_since: Callable[[bytes, float], bool],
    ) -> None:
        """`tables` are the ordinary and the constrained one.

        `heard_since(node_id, time)` tells whether a node spoke after a time.
        """
        self._table, self._constrained = tables
        self._leaf_set = leaf_set
        self._prober = prober
        self._round_trips = round_trips
        self._config = around.config
        self._outbox = around.outbox
        self._entropy = around.entropy
        self._heard_since = heard_since
        self._asked_at: dict[int, float] = {}
        self._compared_at: dict[int, float] = {}
        self._compared_with: set[bytes] = set()

    def start(self) -> None:
        """Begin the periodic upkeep, at a random phase."""
        phase = self._entropy.token(1)[0] / 256
        self._arm(self._config.table_upkeep_seconds * (0.5 + phase / 2))

    def on_timer(self, now: float) -> None:
        """Look after all rows."""
        self._arm(self._config.table_upkeep_seconds)
        self.compare_rows(now)
        self.fill_constrained()

    def compare_rows(self, now: float) -> None:
        """Compare each row with that of one of its nodes."""
        self._compared_with.clear()  # of those who never answered
        for row in self._table.rows():
            self._compare(row, now)

    def on_beat(self, now: float) -> None:
        """Ping each entry that was silent for a period, so that within it all dead ones are found.

        Not in the rhythm of `on_timer`: the answer to its last ping is always a little younger than
        the period, so that every other round would pass an entry over.
        """
        before = now - self._config.table_upkeep_seconds
        entries = self._table.ids() | self._constrained.ids()
        for node_id in sorted(i for i in entries if not self._heard_since(i, before)):
            node = self._table.get(node_id) or self._constrained.get(node_id)
            assert node is not None, "it is an entry of one of them"
            self._prober.probe(node, Reason.TABLE, now)

    def fill_constrained(self) -> None:
        """Ask near neighbours for their rows: their slots have nearly the same points as ours."""
        for row in self._table.rows():
            self._ask(self._leaf_set.neighbours(reach=2), RowRequest(row, True))

    def on_failed(self, node_id: bytes, now: float) -> None:
        """An entry failed: ask a row-mate for another, not more often than the row allows."""
        self._constrained.remove(node_id)
        row = self._table.remove(node_id)
        if row is None:
            return
        if now - self._asked_at.get(row, -self._config.row_repair_seconds) >= (
            self._config.row_repair_seconds
        ):
            if now - self._compared_at.get(row, -COMPARISON_SECONDS_MIN) >= COMPARISON_SECONDS_MIN:
                self._compare(row, now)
            else:
                self._ask_for(row, now)

    def on_row_request(self, sender: NodeHandle, request: RowRequest) -> None:
        """Hint at the entries of a row, of the deepest one if the table has fewer rows.

        An empty answer tells a newcomer that it need not wait for one.
        """
        table = self._constrained if request.is_constrained else self._table
        row = min(request.row, max(table.rows(), default=0))
        hints = Hints(tuple(table.row(row)[-HANDLES_MAX:]))
        self._outbox.notify(sender, Application.PASTRY, encode(hints))

    def on_hints(
        self, sender: NodeHandle, nodes: Iterable[NodeHandle], now: float, *, is_new: bool
    ) -> None:
        """Ping those that one of the tables wants; their answers enter them.

        Who holds a slot is compared with others where a row is (`_compare`), by a newcomer, and if
        a newcomer names itself: not with each answer about a hole.
        """
        compares = is_new or sender.node_id in self._compared_with
        self._compared_with.discard(sender.node_id)
        for node in nodes:
            if self._wants(node.node_id) or (compares and self._may_want(node.node_id)):
                self._prober.probe(node, Reason.TABLE, now)

    def _wants(self, node_id: bytes) -> bool:
        return self._table.wants(node_id) or self._constrained.wants(node_id)

    def _may_want(self, node_id: bytes) -> bool:
        """Whoever was never measured may be nearer than the node that has its slot."""
        is_measured = self._round_trips.of(node_id) is not None
        return not is_measured and self._table.rival_of(node_id) is not None

    def help_joiner(self, joiner: NodeHandle, is_first_hop: bool) -> None:
        """Send a joiner the row it shares with us; the first hop sends the rows above it too."""
        shared = self._table.row_of(joiner.node_id)
        rows = range(shared + 1) if is_first_hop else (shared,)
        nodes = [node for row in rows for node in self._table.row(row)]
        self._hint(joiner, [node for node in nodes if node.node_id != joiner.node_id])

    def _compare(self, row: int, now: float) -> None:
        """Ask for a row whose nodes may be nearer than ours."""
        chosen = self._ask_for(row, now)
        if chosen is not None:
            self._compared_at[row] = now
            self._compared_with.add(chosen.node_id)

    def _ask_for(self, row: int, now: float) -> NodeHandle | None:
        self._asked_at[row] = now
        return self._ask(self._table.row(row), RowRequest(row, False))

    def _ask(self, nodes: Sequence[NodeHandle], request: RowRequest) -> NodeHandle | None:
        if not nodes:
            return None
        chosen = nodes[int.from_bytes(self._entropy.token(2), "big") % len(nodes)]
        self._outbox.notify(chosen, Application.PASTRY, encode(request))
        return chosen

    def _hint(self, to: NodeHandle, nodes: Sequence[NodeHandle]) -> None:
        if nodes:
            hints = Hints(tuple(nodes[-HANDLES_MAX:]))
            self._outbox.notify(to, Application.PASTRY, encode(hints))

    def _arm(self, delay_seconds: float) -> None:
        self._outbox.set_timer(Application.PASTRY, self.TIMER, delay_seconds)
