"""Drawing a node id (paper 3.5; crypto 3.4): uniform, and with neighbours at other sites.

Replicas of a block lie on k neighbours; at different sites they do not fail together. The
authority draws, once, after the request is fixed, so nobody can choose where she sits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epost.foundation.ids import RING_SIZE, NodeId, number, point
from epost.foundation.ports import Entropy


@dataclass(frozen=True, slots=True)
class Placed:
    """A node that has its id, and the site where it stands."""

    node_id: NodeId
    site: bytes


def draw_node_id(members: Sequence[Placed], site: bytes, k: int, entropy: Entropy) -> NodeId:
    """Return a free point whose k neighbours on either side are all at other sites.

    Uniform over those points; over all free points if there are none, or only one site.
    """
    ring = sorted(members, key=lambda m: m.node_id)
    gaps = [_Gap(number(a.node_id), _gap_size(a, b)) for a, b in _neighbours(ring)]
    if not ring:
        gaps = [_Gap(-1, RING_SIZE)]
    preferred = [gap for i, gap in enumerate(gaps) if not _is_near_site(ring, i, site, k)]
    return _draw(preferred if any(gap.size for gap in preferred) else gaps, entropy)


@dataclass(frozen=True, slots=True)
class _Gap:
    """The free points clockwise after one node, up to the next."""

    after: int
    size: int


def _neighbours(ring: Sequence[Placed]) -> Sequence[tuple[Placed, Placed]]:
    return [(node, ring[(i + 1) % len(ring)]) for i, node in enumerate(ring)]


def _gap_size(a: Placed, b: Placed) -> int:
    return (number(b.node_id) - number(a.node_id) - 1) % RING_SIZE


def _is_near_site(ring: Sequence[Placed], gap: int, site: bytes, k: int) -> bool:
    """Is one of the k nodes on either side of gap number `gap` (after that node) at the site?"""
    count = len(ring)
    around = range(gap - k + 1, gap + k + 1) if 2 * k < count else range(count)
    return any(ring[i % count].site == site for i in around)


def _draw(gaps: Sequence[_Gap], entropy: Entropy) -> NodeId:
    # 352 bits over at most 2**160 points: the bias is below 2**-190.
    at = int.from_bytes(entropy.token(44), "big") % sum(gap.size for gap in gaps)
    for gap in gaps:
        if at < gap.size:
            return NodeId(point(gap.after + 1 + at))
        at -= gap.size
    raise AssertionError("drawn beyond the last gap")
