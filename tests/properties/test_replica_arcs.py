"""The arcs by which replicas are placed are exactly the k closest nodes."""

from hypothesis import given
from hypothesis import strategies as st

from epost.foundation.ids import RING_SIZE, NodeId, closeness, number, point
from epost.past.arcs import WHOLE_RING, Arc, arc_between, known_arc, replica_arc
from epost.past.ring_view import RingView

# Few points, so that ties and neighbours are common; scaled, so that wrapping is too.
SCALE = RING_SIZE // 64
points = st.integers(0, 63).map(lambda n: point(n * SCALE))
near = st.integers(-2, 2)
rings = st.lists(points, min_size=1, max_size=12, unique=True).map(sorted)
arcs = st.builds(
    lambda a, b: Arc(a * SCALE, b * SCALE + (RING_SIZE if b == 0 else 0)),
    st.integers(0, 63),
    st.integers(0, 63),
)


@given(rings, st.integers(1, 5), points, near)
def test_a_node_s_arc_is_where_it_is_among_the_k_closest(
    ring: list[bytes], k: int, key: bytes, shift: int
) -> None:
    place = point(number(key) + shift)
    closest = sorted(ring, key=lambda node: closeness(place, node))[:k]
    for node in ring:
        assert (place in replica_arc(node, ring, k)) == (node in closest)


@given(rings, st.integers(1, 4), st.integers(0, 11), st.integers(1, 12), points, near)
def test_what_is_known_of_an_arc_is_true_whatever_lies_outside(
    ring: list[bytes], k: int, first: int, count: int, key: bytes, shift: int
) -> None:
    turned = ring[first % len(ring) :] + ring[: first % len(ring)]
    span = turned[:count]
    place = point(number(key) + shift)
    closest = sorted(ring, key=lambda node: closeness(place, node))[:k]
    for node in span:
        if place in known_arc(node, span, k):
            assert node in closest
    for node in span[k : len(span) - k]:
        if len(span) > 2 * k and len(ring) > k:
            assert known_arc(node, span, k) == replica_arc(node, ring, k)


@given(rings, st.integers(1, 4), st.integers(0, 11), st.integers(1, 12), points, near)
def test_the_far_keys_are_those_whose_replicas_are_not_certain(
    ring: list[bytes], k: int, first: int, count: int, key: bytes, shift: int
) -> None:
    turned = ring[first % len(ring) :] + ring[: first % len(ring)]
    span = tuple(NodeId(node) for node in turned[:count])
    view = RingView(span[0], k, span, (), is_whole=False)
    place = point(number(key) + shift)
    certain, far = view.certain_arc, view.far_arc
    if len(span) >= k:
        assert view.knows_replicas(place) == (certain is not None and place in certain)
    if far is not None:
        assert (place in far) != view.knows_replicas(place)
    whole = RingView(span[0], k, tuple(sorted(span)), (), is_whole=True)
    assert whole.far_arc is None
    assert whole.knows_replicas(place)


@given(arcs, arcs, points, near)
def test_sharing_and_subtracting_are_what_they_say(a: Arc, b: Arc, key: bytes, shift: int) -> None:
    place = point(number(key) + shift)
    shared, rest = a.shared_with(b), a.without(b)
    assert any(place in piece for piece in shared) == (place in a and place in b)
    assert any(place in piece for piece in rest) == (place in a and place not in b)
    assert sum(piece.size for piece in (*shared, *rest)) == a.size
    assert a.meets(b) == bool(shared)


@given(arcs)
def test_an_arc_is_known_by_its_ends(arc: Arc) -> None:
    assert arc_between(arc.start, arc.end) == arc
    assert arc.end in arc
    assert (arc.start in arc) == (arc.size == RING_SIZE)
    assert arc.shared_with(WHOLE_RING)[0].size <= arc.size
