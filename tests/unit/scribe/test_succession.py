"""What a root leaves to its heirs."""

from epost.foundation.ids import Id, closeness
from epost.scribe import succession as succession_module
from epost.scribe.messages import Estate, Multicast
from epost.scribe.observed import EstateTaken, GroupPacketRefused
from tests.support.conversation import peer
from tests.support.groups import Groups

STRANGER = peer(0.123)


def grown(seed: int) -> tuple[Groups, Id]:
    groups = Groups(30, seed=seed)
    name = Id(groups.ring.random.randbytes(20))
    groups.join(name, groups.hosts[::3])
    groups.ring.run(10.0)
    return groups, name


def test_news_published_right_after_the_root_died_reach_every_member() -> None:
    groups, name = grown(seed=1)
    root = min(groups.ring.live, key=lambda host: closeness(name, host.id))
    groups.leave(name, root)
    groups.ring.crash(root)
    groups.ring.run_until(lambda: bool(groups.ring.observed.of(EstateTaken)), 60.0)
    groups.everybody_is_reached(name)


def test_heirs_are_told_of_changes_and_then_nothing() -> None:
    groups, name = grown(seed=2)
    groups.ring.run(60.0)
    told: list[object] = []
    root = min(groups.ring.live, key=lambda host: closeness(name, host.id))
    tree = groups.scribe(root)._forest.get(name)  # the quiet state of the root
    assert tree is not None
    before = tree.known_to_heirs
    groups.scribe(root)._succession.tell_heirs(tree)
    told += root.outbox.drain()
    assert told == []
    assert tree.known_to_heirs == before


def test_an_estate_is_taken_from_nodes_nearby_only() -> None:
    groups, name = grown(seed=3)
    far = max(groups.ring.live, key=lambda host: closeness(name, host.id))
    groups.hear(far, STRANGER, Estate(name, (STRANGER,)))
    assert len(groups.ring.observed.of(GroupPacketRefused)) == 1


def test_estates_are_bounded_and_an_empty_one_is_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(succession_module, "ESTATES_MAX", 1)
    groups = Groups(2, seed=4)
    heir, other = groups.hosts
    first, second = Id(b"a" * 20), Id(b"b" * 20)
    estates = groups.scribe(heir)._succession._estates
    for name in (first, second):
        groups.hear(heir, other.handle, Estate(name, (STRANGER,)))
    assert list(estates) == [second]
    groups.hear(heir, other.handle, Estate(second, ()))
    assert not estates


def test_children_that_do_not_want_the_heir_expire() -> None:
    groups = Groups(3, seed=5)
    root = groups.hosts[0]
    name = Id(root.id)
    heir = min(groups.hosts[1:], key=lambda host: closeness(name, host.id))
    groups.hear(heir, root.handle, Estate(name, (STRANGER, heir.handle)))
    groups.ring.crash(root)
    groups.ring.run_until(lambda: taken(groups), 60.0)
    (event,) = groups.ring.observed.of(EstateTaken)
    survivor = groups.ring.hosts[event.at]
    assert event.children == 1
    said = groups.hear(survivor, root.handle, Multicast(name, b"m" * 16, b"news"))
    assert [node for node, _ in said] == [STRANGER.node_id]
    groups.ring.run(120.0)
    assert groups.scribe(survivor).children_by_group == {}


def taken(groups: Groups) -> bool:
    return bool(groups.ring.observed.of(EstateTaken))
