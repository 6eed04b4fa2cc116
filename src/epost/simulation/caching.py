"""Look-ups of unequally popular blocks in a large ring whose nodes cache (PAST, SOSP 2001, 4).

No messages and no cryptography: who passes a query to whom is the product's `next_hop`, what a
node caches, answers and evicts is the product's `RouteCache`, each over a stand-in for its vault.
A copy that a node wants is there at once, where the product takes a moment.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from random import Random

from epost.foundation.ids import BlockKind, Handle, number
from epost.foundation.ports import PutBlock, Role, SetRoles, VaultEntry, Write
from epost.past.blocks import CONTENT_SIZE_MAX, Proven
from epost.past.caching.route_cache import RouteCache
from epost.past.config import PastConfig
from epost.simulation.filling import LARGE_ALPHA, LARGE_MIN, LARGE_PART, NODES, SMALL_LOG
from epost.simulation.overlay.figure import Figure, Progress, Target
from epost.simulation.overlay.oracle_ring import OracleRing
from epost.simulation.overlay.statistics import exactly, share

RULES = {
    "no caches": PastConfig(cache_part=0.0),
    "cached when seen once (PAST)": PastConfig(cache_after_passings=1),
    "cached when seen twice (ours)": PastConfig(),
}
K, LEAF_SET = 5, 32
"""Of the paper."""
ZIPF_EXPONENT = 0.8
"""Of the popularity of what is looked up, as of pages of the web (Breslau et al. 1999: .64-.83)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is looked up, and how much room there is for it."""

    lookups: int
    per_second: float
    """Look-ups in the whole ring."""
    used_part: float
    """How full the disks are with replicas."""


@dataclass(slots=True)
class Outcome:
    """What came of it; hops are of queries, until a node that has the block."""

    lookups: int = 0
    hits: int = 0
    hops: int = 0
    fills: int = 0
    cached_octets: int = 0
    most_asked: int = 0
    """Look-ups that the busiest single node answered."""

    @property
    def mean_hops(self) -> float:
        """The mean over all look-ups, those from the own cache included."""
        return self.hops / self.lookups


class Catalogue:
    """Blocks by falling popularity: handles, sizes, replicas, how likely each is asked for."""

    def __init__(self, count: int, ring: OracleRing, random: Random) -> None:
        self.handles = [
            Handle(BlockKind.CONTENT, hashlib.sha256(b"%d" % n).digest()) for n in range(count)
        ]
        self.sizes = [_size(random) for _ in range(count)]
        self.replicas = [frozenset(ring.closest(number(h.place), K)) for h in self.handles]
        self._chances = list(accumulate((n + 1) ** -ZIPF_EXPONENT for n in range(count)))

    def pick(self, random: Random) -> int:
        """Draw a block by popularity."""
        return bisect_left(self._chances, random.random() * self._chances[-1])


class CachingRing:
    """Every node's cache, and the ways between them."""

    def __init__(
        self, ring: OracleRing, catalogue: Catalogue, load: Load, config: PastConfig
    ) -> None:
        self._ring = ring
        self._catalogue = catalogue
        self._now = 0.0
        self._sizes = dict(zip(catalogue.handles, catalogue.sizes, strict=True))
        held = K * sum(catalogue.sizes) / len(ring)
        spare = int(held * (1 - load.used_part) / load.used_part)
        self._config = replace(config, disk_reserve_bytes=1)
        self._caches = [self._cache(spare) for _ in range(len(ring))]
        self._answered = [0] * len(ring)
        self.outcome = Outcome()

    def run(self, load: Load, random: Random) -> Outcome:
        """Have random nodes look blocks up, one after the other."""
        for n in range(load.lookups):
            self._now = n / load.per_second
            self._look_up(int(random.random() * len(self._ring)), self._catalogue.pick(random))
        self.outcome.cached_octets = sum(cache.octets for cache in self._caches)
        self.outcome.most_asked = max(self._answered)
        return self.outcome

    def _look_up(self, asker: int, block: int) -> None:
        handle, replicas = self._catalogue.handles[block], self._catalogue.replicas[block]
        key, outcome = number(handle.place), self.outcome
        outcome.lookups += 1
        node = asker
        while node not in replicas:
            cache = self._caches[node]
            if cache.answers(handle):
                outcome.hits += 1
                break
            if node != asker:
                cache.passed(handle, self._now)
            node = self._ring.hop(node, key)
            outcome.hops += 1
        self._answered[node] += 1
        if asker not in replicas:
            self._keep(self._caches[asker], handle)

    def _cache(self, spare: int) -> RouteCache:
        disk = _SpareDisk(spare)
        cache = RouteCache(
            disk,
            disk.write,
            self._config,
            _Nobody(),
            may_copy=lambda: True,
            is_near=lambda _: False,
        )
        cache.want = lambda handle: self._fill(cache, handle)
        return cache

    def _fill(self, cache: RouteCache, handle: Handle) -> None:
        self.outcome.fills += 1
        self._keep(cache, handle)

    def _keep(self, cache: RouteCache, handle: Handle) -> None:
        cache.keep(Proven(handle, self._sizes[handle]), b"")


class _SpareDisk:
    """A vault with nothing in it but what is cached, and always the same room."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._rows: dict[Handle, VaultEntry] = {}

    def entry(self, handle: Handle) -> VaultEntry | None:
        return self._rows.get(handle)

    def entries_with(
        self, role: Role, *, after: Handle | None = None, limit: int = 1000
    ) -> Sequence[VaultEntry]:
        return ()

    def is_damaged(self, handle: Handle) -> bool:
        return False

    def free_bytes(self) -> int:
        return self._free

    def write(self, write: Write) -> None:
        if isinstance(write, PutBlock):
            self._rows[write.entry.handle] = write.entry
        elif isinstance(write, SetRoles):
            self._rows.pop(write.handle, None)


class _Nobody:
    """Takes no note of anything."""

    def record(self, event: object) -> None:
        return


def _size(random: Random) -> int:
    """Draw the size of a block: as the files of `filling`, but none larger than a block may be."""
    if random.random() < LARGE_PART:
        size = LARGE_MIN * (1 - random.random()) ** (-1 / LARGE_ALPHA)
    else:
        size = math.exp(SMALL_LOG.inv_cdf(1 - random.random()))
    return max(1, min(int(size), CONTENT_SIZE_MAX))


BLOCKS_A_NODE, LOOKUPS_A_NODE, LOOKUPS_A_MINUTE = 80, 170, 1
PUBLISHED = "hops stay below log16 N = 2.78 however full, with GreedyDual-Size [mem]; another trace"
"""Not comparable in its hit rate: the paper's clients read pages of the web, and its caches held
whatever passed."""


def caching_figures(progress: Progress, *, full: bool, seed: int) -> Sequence[Figure]:
    """Return hit rates and mean hops without caches, by PAST's rule and by ours."""
    nodes = NODES if full else NODES // 10
    random = Random(seed)  # noqa: S311 - a simulation
    ring = OracleRing(nodes, random, leaf_set_size=LEAF_SET)
    catalogue = Catalogue(BLOCKS_A_NODE * nodes, ring, random)
    figures: list[Figure] = []
    for used_part in (0.5, 0.98):
        load = Load(LOOKUPS_A_NODE * nodes, LOOKUPS_A_MINUTE * nodes / 60, used_part)
        for rule, config in RULES.items():
            outcome = CachingRing(ring, catalogue, load, config).run(load, Random(seed))  # noqa: S311
            name = f"look-ups (Zipf .8), k=5, l=32, disks {used_part:.0%} full, {rule}"
            progress(f"{name}: {outcome}")
            row = partial(Figure, n=nodes, trials=outcome.lookups, seeds=(seed,))
            hops = row(f"{name}: mean hops", ours=exactly(outcome.mean_hops))
            if config.cache_part:
                bound = Target(at_most=math.log(nodes, 16))
                hops = replace(hops, target=bound, published=PUBLISHED if full else "-")
                hits = share(outcome.hits, outcome.lookups)
                figures.append(row(f"{name}: answered from a cache", ours=hits))
                copies = outcome.fills / outcome.lookups
                figures.append(row(f"{name}: copies fetched a look-up", ours=exactly(copies)))
            figures.append(hops)
    return figures
