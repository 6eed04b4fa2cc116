"""Packets between children and parents, and what a node makes of them."""

import pytest

from epost.foundation.codec import encode
from epost.foundation.effects import Caller, Send
from epost.foundation.errors import MessageTooLarge, Overloaded
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Application, Form, unpack
from epost.scribe import forest as forest_module
from epost.scribe.config import BODY_SIZE_MAX, PATH_MAX
from epost.scribe.messages import (
    Adopted,
    Branch,
    Disowned,
    JoinGroup,
    LeaveGroups,
    Multicast,
    Publish,
    Refresh,
)
from epost.scribe.observed import GroupPacketRefused, LoopBroken, ParentFound, ParentLost
from tests.support.conversation import peer
from tests.support.groups import Groups
from tests.support.ring import Host

MESSAGE = b"m" * 16
STRANGER = peer(0.123)


def pair() -> tuple[Groups, Host, Host, Id]:
    """Return two hosts and a group whose root is the second."""
    groups = Groups(2, seed=1)
    leaf, root = groups.hosts
    return groups, leaf, root, Id(root.id)


def child_of_root() -> tuple[Groups, Host, Host, Id]:
    groups, leaf, root, group = pair()
    groups.join(group, [leaf])
    groups.ring.run(1.0)
    return groups, leaf, root, group


def adopted(group: Id, *path: NodeHandle) -> Adopted:
    return Adopted((Branch(group, tuple(node.node_id for node in path), 0),))


def test_a_member_finds_its_parent_and_the_root_knows_that_it_is_one() -> None:
    groups, leaf, root, group = child_of_root()
    found = groups.ring.observed.of(ParentFound)
    assert found == [
        ParentFound(root.id, group, None),
        ParentFound(leaf.id, group, root.id),
    ] or found == [ParentFound(leaf.id, group, root.id), ParentFound(root.id, group, None)]
    assert groups.scribe(leaf).groups == [group]
    assert groups.scribe(root).groups == []


def test_a_refresh_is_answered_with_the_path_to_the_root() -> None:
    groups, leaf, root, group = child_of_root()
    (answer,) = groups.hear(root, leaf.handle, Refresh((group,)))
    assert answer == (leaf.id, adopted(group, root.handle))


def test_a_parent_that_forgot_a_child_takes_it_on_again() -> None:
    groups, leaf, root, group = pair()
    (answer,) = groups.hear(root, leaf.handle, Refresh((group,)))
    assert answer == (leaf.id, adopted(group, root.handle))


def test_who_cannot_take_a_child_disowns_it(monkeypatch) -> None:
    groups, leaf, root, group = pair()
    monkeypatch.setattr(forest_module, "GROUPS_MAX", 0)
    assert groups.hear(root, leaf.handle, Refresh((group,))) == [(leaf.id, Disowned((group,)))]


def test_a_disowned_child_looks_for_another_parent() -> None:
    groups, leaf, root, group = child_of_root()
    groups.hear(leaf, STRANGER, Disowned((group,)))
    assert groups.ring.observed.of(ParentLost) == []
    groups.scribe(leaf).on_notify(root.handle, encode(Disowned((group,))), groups.ring.now)
    groups.ring.perform(leaf)
    assert groups.ring.observed.of(ParentLost) == [ParentLost(leaf.id, group, root.id)]
    groups.ring.run(1.0)
    groups.everybody_is_reached(group)


def test_an_unwanted_parent_is_told_so() -> None:
    groups, leaf, root, group = child_of_root()
    told = [(STRANGER.node_id, LeaveGroups((group,)))]
    assert groups.hear(leaf, STRANGER, adopted(group, STRANGER)) == told, "it has a parent"
    assert groups.hear(root, STRANGER, adopted(group, STRANGER)) == told, "it is the root"
    other = Id(b"o" * 20)
    assert groups.hear(leaf, STRANGER, adopted(other, STRANGER)) == [
        (STRANGER.node_id, LeaveGroups((other,)))
    ]


def test_a_parent_that_turns_out_to_be_below_us_is_left() -> None:
    groups, leaf, root, group = child_of_root()
    said = groups.hear(leaf, root.handle, adopted(group, root.handle, leaf.handle))
    assert said == [(root.id, LeaveGroups((group,)))]
    assert groups.ring.observed.of(LoopBroken) == [LoopBroken(leaf.id, group)]


def test_an_endless_path_is_a_loop_too() -> None:
    groups, leaf, root, group = child_of_root()
    path = [root.handle, *(peer(number / 100) for number in range(PATH_MAX - 1))]
    groups.hear(leaf, root.handle, adopted(group, *path))
    assert len(groups.ring.observed.of(LoopBroken)) == 1


def test_a_path_must_begin_with_whoever_tells_it() -> None:
    groups, leaf, root, group = child_of_root()
    groups.hear(leaf, root.handle, adopted(group, STRANGER))
    assert len(groups.ring.observed.of(GroupPacketRefused)) == 1


def test_a_new_path_is_told_to_the_children_at_once() -> None:
    groups, leaf, root, group = child_of_root()
    groups.hear(leaf, STRANGER, Refresh((group,)))
    said = groups.hear(leaf, root.handle, adopted(group, root.handle, peer(0.9)))
    assert said == [(STRANGER.node_id, adopted(group, leaf.handle, root.handle, peer(0.9)))]


def test_nobody_adopts_its_own_parent() -> None:
    groups, leaf, root, group = child_of_root()
    assert groups.hear(leaf, root.handle, Refresh((group,))) == [(root.id, Disowned((group,)))]
    request = encode(JoinGroup(b""))
    scribe = groups.scribe(leaf)
    assert scribe.forward(group, root.handle, request, root.handle, groups.ring.now)
    assert not scribe.forward(group, STRANGER, request, root.handle, groups.ring.now)


def test_only_join_requests_of_others_are_stopped_on_the_way() -> None:
    groups, leaf, root, group = pair()
    scribe, now = groups.scribe(leaf), groups.ring.now
    assert scribe.forward(group, leaf.handle, encode(JoinGroup(b"")), root.handle, now)
    news = encode(Publish(MESSAGE, b"news"))
    assert scribe.forward(group, STRANGER, news, root.handle, now)
    assert scribe.forward(group, STRANGER, b"garbage", root.handle, now)


def test_news_go_along_the_tree_once_and_not_back() -> None:
    groups, leaf, root, group = child_of_root()
    groups.hear(leaf, STRANGER, Refresh((group,)))
    news = Multicast(group, MESSAGE, b"news")
    assert groups.hear(leaf, root.handle, news) == [(STRANGER.node_id, news)]
    assert groups.hear(leaf, root.handle, news) == []
    assert groups.readers[leaf.id].news == [(group, b"news")]


def test_news_that_begin_below_the_top_go_upwards_too() -> None:
    groups, leaf, root, group = child_of_root()
    groups.hear(leaf, STRANGER, Refresh((group,)))
    news = Multicast(group, MESSAGE, b"news")
    assert groups.hear(leaf, STRANGER, news) == [(root.id, news)]


def test_news_for_a_group_that_only_the_former_root_knows_reach_it() -> None:
    groups, leaf, root, group = pair()
    publish = encode(Publish(MESSAGE, b"news"))
    groups.scribe(root).deliver(group, STRANGER, publish, groups.ring.now)
    (effect,) = root.outbox.drain()
    assert isinstance(effect, Send)
    assert effect.to.node_id == leaf.id
    assert groups.hear(leaf, root.handle, Multicast(group, MESSAGE, b"news")) == []


def test_packets_in_the_wrong_place_and_garbage_are_refused() -> None:
    groups, leaf, _, group = child_of_root()
    for packet in (JoinGroup(b""), Publish(MESSAGE, b"")):
        groups.hear(leaf, STRANGER, packet)
    groups.scribe(leaf).on_notify(STRANGER, b"garbage", groups.ring.now)
    groups.scribe(leaf).deliver(group, STRANGER, encode(Refresh((group,))), groups.ring.now)
    assert len(groups.ring.observed.of(GroupPacketRefused)) == 4


def test_requests_are_refused_and_nothing_is_loaded() -> None:
    groups, leaf, _, _ = pair()
    scribe = groups.scribe(leaf)
    scribe.on_request(Caller(STRANGER, Application.SCRIBE, 1), b"", groups.ring.now)
    (effect,) = leaf.outbox.drain()
    assert isinstance(effect, Send)
    assert unpack(effect.message).form is Form.REFUSAL
    with pytest.raises(AssertionError):
        scribe.on_loaded("block", None, groups.ring.now)


def test_groups_and_bodies_are_bounded(monkeypatch) -> None:
    groups, leaf, root, group = pair()
    with pytest.raises(MessageTooLarge):
        groups.scribe(leaf).multicast(group, bytes(BODY_SIZE_MAX + 1))
    monkeypatch.setattr(forest_module, "GROUPS_MAX", 1)
    groups.scribe(leaf).join(group)
    groups.scribe(leaf).join(group)
    with pytest.raises(Overloaded):
        groups.scribe(leaf).join(Id(b"o" * 20))
    monkeypatch.setattr(forest_module, "GROUPS_MAX", 0)
    groups.scribe(root).deliver(group, leaf.handle, encode(JoinGroup(b"")), groups.ring.now)
    assert len(groups.ring.observed.of(GroupPacketRefused)) == 1


def test_sec_47_who_floods_a_node_with_groups_takes_no_room_from_it_and_little_from_others(
    monkeypatch,
) -> None:
    monkeypatch.setattr(forest_module, "GROUPS_MAX", 200)
    monkeypatch.setattr(forest_module, "GROUPS_OF_CHILD_MAX", 50)
    groups, _leaf, root, group = pair()

    def crowd(flooder: NodeHandle, first: int) -> int:
        """Refresh as a child in a hundred groups nobody has; return in how many it is one."""
        for part in (range(first, first + 50), range(first + 50, first + 100)):
            names = tuple(Id(n.to_bytes(20, "big")) for n in part)
            groups.hear(root, flooder, Refresh(names))
        trees = groups.scribe(root).children_by_group
        return sum(int.from_bytes(name, "big") in range(first, first + 100) for name in trees)

    assert crowd(STRANGER, 0) == 50
    assert crowd(peer(0.2), 100) == 50
    assert sum(crowd(peer(0.3 + n / 100), 200 + 100 * n) for n in range(4)) == 100
    groups.scribe(root).join(group)
    assert groups.scribe(root).groups == [group]
    groups.ring.run(120.0)
    assert list(groups.scribe(root).children_by_group) == [group]
    assert crowd(STRANGER, 0) == 50, "what a child has left is counted no longer"


def test_leaving_what_was_never_joined_is_nothing() -> None:
    groups, leaf, root, group = pair()
    groups.leave(group, leaf)
    assert groups.hear(leaf, root.handle, LeaveGroups((group,))) == []


def test_an_unreachable_parent_is_refreshed_at_once() -> None:
    groups, leaf, root, _ = child_of_root()
    groups.scribe(leaf).on_unreachable(STRANGER.id, groups.ring.now)
    groups.scribe(leaf).on_unreachable(root.id, groups.ring.now)
    groups.ring.perform(leaf)
    groups.ring.sent.clear()
    groups.ring.run(0.1)
    assert groups.ring.sent[leaf.id] == 1
