"""A node with too many children hands some over, and nobody misses anything."""

import pytest

from epost.foundation.ids import Id, NodeHandle
from epost.scribe.config import ScribeConfig
from epost.scribe.messages import Adopted, Attach, Branch, Disowned, HandOver, LeaveGroups
from epost.scribe.observed import ChildHandedOver, LoopBroken
from tests.support.conversation import peer
from tests.support.groups import Groups
from tests.support.ring import Host

STRANGER, SIBLING = peer(0.123), peer(0.456)


def adopted(group: Id, *path: NodeHandle) -> Adopted:
    return Adopted((Branch(group, tuple(node.node_id for node in path), 0),))


def child_of_root() -> tuple[Groups, Host, Host, Id]:
    groups = Groups(2, seed=1)
    leaf, root = groups.hosts
    group = Id(root.id)
    groups.join(group, [leaf])
    groups.ring.run(1.0)
    return groups, leaf, root, group


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_nobody_keeps_more_children_than_it_should_and_all_are_reached() -> None:
    groups = Groups(60, seed=1, config=ScribeConfig(children_limit=6))
    name = Id(groups.ring.random.randbytes(20))
    groups.join(name, groups.hosts)
    for _ in range(10):
        groups.ring.run(20.0)
        groups.everybody_is_reached(name)
    assert groups.ring.observed.of(ChildHandedOver)
    counts = [sum(s.children_by_group.values()) for s in groups.scribes.values()]
    assert max(counts) <= 6


def test_without_too_many_children_nobody_is_handed_over() -> None:
    groups = Groups(30, seed=2)
    name = Id(groups.ring.random.randbytes(20))
    groups.join(name, groups.hosts)
    groups.ring.run(60.0)
    assert groups.ring.observed.of(ChildHandedOver) == []


def test_a_child_that_is_handed_over_asks_a_sibling_and_stays_until_it_agrees() -> None:
    groups, leaf, root, group = child_of_root()
    said = groups.hear(leaf, root.handle, HandOver(group, (SIBLING,)))
    assert said == [(SIBLING.node_id, Attach(group, b""))]
    assert groups.hear(leaf, SIBLING, adopted(group, SIBLING, root.handle)) == [
        (root.id, LeaveGroups((group,)))
    ]
    assert groups.hear(leaf, root.handle, adopted(group, root.handle)) == [
        (root.id, LeaveGroups((group,)))
    ], "the sibling is the parent now"


def test_a_sibling_that_declines_or_lies_below_changes_nothing() -> None:
    groups, leaf, root, group = child_of_root()
    groups.hear(leaf, root.handle, HandOver(group, (SIBLING,)))
    groups.hear(leaf, SIBLING, Disowned((group,)))
    assert groups.hear(leaf, SIBLING, adopted(group, SIBLING, root.handle)) == [
        (SIBLING.node_id, LeaveGroups((group,)))
    ]
    groups.hear(leaf, root.handle, HandOver(group, (SIBLING,)))
    groups.hear(leaf, SIBLING, adopted(group, SIBLING, leaf.handle))
    assert len(groups.ring.observed.of(LoopBroken)) == 1
    assert groups.hear(leaf, root.handle, adopted(group, root.handle)) == [], "still the parent"


def test_only_the_parent_hands_over_and_never_to_our_own_children() -> None:
    groups, leaf, root, group = child_of_root()
    assert groups.hear(leaf, STRANGER, HandOver(group, (SIBLING,))) == []
    assert groups.hear(leaf, root.handle, HandOver(Id(b"o" * 20), (SIBLING,))) == []
    assert groups.hear(leaf, root.handle, HandOver(group, (leaf.handle,))) == []


def test_a_node_outside_of_the_tree_takes_no_sibling() -> None:
    groups, leaf, root, group = child_of_root()
    other = Id(b"o" * 20)
    assert groups.hear(leaf, STRANGER, Attach(other, b"")) == [
        (STRANGER.node_id, Disowned((other,)))
    ]
    assert groups.hear(leaf, root.handle, Attach(group, b"")) == [(root.id, Disowned((group,)))], (
        "nobody adopts its own parent"
    )


def test_the_farthest_child_goes_to_its_nearest_sibling() -> None:
    distances = {peer(n / 10).node_id: n / 10 for n in range(1, 10)}
    groups = Groups(
        2, seed=1, config=ScribeConfig(children_limit=4),
        distance=lambda node: distances.get(node.node_id),
    )  # fmt: skip
    leaf, root = groups.hosts
    group = Id(root.id)
    for number in (3, 9, 5, 1):
        groups.hear(root, peer(number / 10), Attach(group, b""))
    groups.join(group, [leaf])
    groups.ring.run(1.0)
    for number in (3, 9, 5, 1):
        groups.hear(root, peer(number / 10), Attach(group, b""))
    (event, *_) = groups.ring.observed.of(ChildHandedOver)
    assert event.child == peer(0.9).node_id
    siblings = (peer(0.3), peer(0.5))
    assert groups.hear(leaf, root.handle, HandOver(group, siblings)) == [
        (peer(0.3).node_id, Attach(group, b""))
    ]
