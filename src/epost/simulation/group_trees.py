"""Scribe's trees on a large ring: delay penalty and node stress (JSAC 2002, IV).

Groups of the paper's sizes (floor(N * rank ** -1.25 + .5)) with random members, on a transit-stub
internet with perfect proximity in the routing tables. Every member joins by the product's protocol;
then in each group the root publishes, and a random member (its news go to the root first). Delays
are compared with those of the direct ways, which IP multicast would take: RMD is the ratio of the
largest, RAD that of the means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from statistics import mean, median

from epost.foundation.ids import Id, number
from epost.scribe.config import ScribeConfig
from epost.simulation.group_world import GroupWorld
from epost.simulation.overlay.figure import REPORTED, Figure, Progress, Target
from epost.simulation.overlay.oracle_ring import OracleRing, nearest_in
from epost.simulation.overlay.statistics import Mean, exactly, share
from epost.simulation.overlay.topology import TOPOLOGIES, Topology

FULL_SIZE, FULL_GROUPS = 10_000, 150
QUICK_SIZE, QUICK_GROUPS = 1_000, 60
SIZE_EXPONENT = 1.25
JOIN_SECONDS = 30.0
SETTLE_SECONDS = 20.0
PUBLISH_SECONDS = 5.0
LIMIT, NO_LIMIT = 64, 10**6
QUIET_SECONDS = 3600.0
"""Nobody fails here, so that refreshes would only cost time."""
HALF_OF_THE_GROUPS = "N=100k, 1,500 groups: half of them <= {}, largest {} [mem]"
PER_NODE = "N=100k, 1,500 groups: mean {}, median {}, largest {} [mem]"


@dataclass
class Delays:
    """Delay penalties by group; `reached` of `wanted` deliveries came."""

    rmd: list[float] = field(default_factory=list)
    rad: list[float] = field(default_factory=list)
    reached: int = 0
    wanted: int = 0


@dataclass(frozen=True)
class Trees:
    """What one run showed; `tables` and `children` are by node."""

    messages: int
    from_root: Delays
    from_member: Delays
    tables: Sequence[int]
    children: Sequence[int]


def group_sizes(nodes: int, groups: int) -> Sequence[int]:
    """Return the sizes of the groups by rank; the first has everybody."""
    return [int(nodes * rank**-SIZE_EXPONENT + 0.5) for rank in range(1, groups + 1)]


def grow_trees(ring: OracleRing, topology: Topology, groups: int, limit: int, seed: int) -> Trees:
    """Let everybody join, then publish in each group from its root and from a member."""
    random = Random(seed)  # noqa: S311 - a simulation
    config = ScribeConfig(
        refresh_seconds=QUIET_SECONDS, child_kept_seconds=3 * QUIET_SECONDS, children_limit=limit
    )
    world = GroupWorld(ring, topology, config, random)
    members = {
        Id(random.randbytes(20)): random.sample(range(len(ring)), size)
        for size in group_sizes(len(ring), groups)
    }
    for group, nodes in members.items():
        for node in nodes:
            world.at(random.uniform(0, JOIN_SECONDS), partial(world.join, node, group))
    world.run(JOIN_SECONDS + SETTLE_SECONDS)
    messages = world.messages
    children = [node.scribe.children_by_group.values() for node in world.nodes]
    roots = {group: ring.closest(number(group), 1)[0] for group in members}
    from_root = _publish(world, topology, members, roots)
    sources = {group: random.choice(nodes) for group, nodes in members.items()}
    return Trees(
        messages,
        from_root,
        _publish(world, topology, members, sources),
        [sum(1 for count in counts if count) for counts in children],
        [sum(counts) for counts in children],
    )


def _publish(
    world: GroupWorld,
    topology: Topology,
    members: Mapping[Id, Sequence[int]],
    sources: Mapping[Id, int],
) -> Delays:
    """Publish in each group in turn and compare the delays with those of the direct ways."""
    delays = Delays()
    for group, source in sources.items():
        others = [node for node in members[group] if node != source]
        body, start = bytes(group) + source.to_bytes(4, "big"), world.now
        world.multicast(source, group, body)
        world.run(PUBLISH_SECONDS)
        heard = world.heard.pop(body, {})
        ours = [heard[node] - start for node in others if node in heard]
        direct = [topology.delay(source, node) for node in others]
        delays.reached += len(ours)
        delays.wanted += len(others)
        delays.rmd.append(max(ours) / max(direct))
        delays.rad.append(mean(ours) / mean(direct))
    return delays


def group_figures(
    progress: Progress, *, full: bool, seed: int = 1, internet: str = "transit-stub"
) -> Sequence[Figure]:
    """Run it without and with bottleneck removal; return what stands beside the published."""
    size, groups = (FULL_SIZE, FULL_GROUPS) if full else (QUICK_SIZE, QUICK_GROUPS)
    random = Random(seed)  # noqa: S311 - a simulation
    topology = TOPOLOGIES[internet](size, random)
    ring = OracleRing(size, random, choice=nearest_in(topology))
    figures: list[Figure] = []
    for words, limit in (("", NO_LIMIT), (", at most 64 children", LIMIT)):
        trees = grow_trees(ring, topology, groups, limit, seed)
        progress(f"Scribe{words}: {trees.messages:,} messages to build {groups} trees")
        row = partial(Figure, n=size, trials=groups, seeds=(seed,))
        figures += _rows(f"Scribe, {groups} groups{words}: ", row, trees, limit)
    return figures


def _rows(prefix: str, row: partial[Figure], trees: Trees, limit: int) -> Sequence[Figure]:
    reached = trees.from_root.reached + trees.from_member.reached
    wanted = trees.from_root.wanted + trees.from_member.wanted
    rmd, rad = HALF_OF_THE_GROUPS.format(1.69, 4.26), HALF_OF_THE_GROUPS.format(1.68, 2)
    tables, children = PER_NODE.format(2.4, 2, 40), PER_NODE.format(6.2, 3, "1,059")
    measured = (
        ("RMD from the root, median", median(trees.from_root.rmd), rmd),
        ("RMD from the root, largest", max(trees.from_root.rmd), rmd),
        ("RAD from the root, median", median(trees.from_root.rad), rad),
        ("RAD from the root, largest", max(trees.from_root.rad), rad),
        ("RMD from a member, median", median(trees.from_member.rmd), "-"),
        ("RAD from a member, median", median(trees.from_member.rad), "-"),
        ("children tables of a node, largest", max(trees.tables), tables),
        ("children of a node, median", median(trees.children), children),
    )
    return [
        *(row(prefix + name, ours=exactly(ours), published=said) for name, ours, said in measured),
        row(
            prefix + "children tables of a node, mean",
            ours=Mean(trees.tables).estimate(),
            published=tables,
        ),
        row(
            prefix + "children of a node, mean",
            ours=Mean(trees.children).estimate(),
            published=children,
        ),
        row(
            prefix + "children of a node, largest",
            ours=exactly(max(trees.children)),
            target=REPORTED if limit == NO_LIMIT else Target(at_most=limit),
            published=children if limit == NO_LIMIT else "64, delays hardly changed [mem]",
        ),
        row(
            prefix + "members reached",
            trials=wanted,
            ours=share(reached, wanted),
            target=Target(at_least=1.0),
        ),
    ]
