"""Groups in whole rings: every live member is reached, whoever comes and goes."""

import pytest

from epost.foundation.ids import Id
from epost.scribe.observed import MulticastReceived, ParentFound
from tests.support.groups import Groups
from tests.support.ring import Host


def grown(size: int, *, share: int = 3, **settings: object) -> tuple[Groups, list[Id]]:
    """Return a ring with three groups, each with a third of the hosts."""
    groups = Groups(size, **settings)
    names = [Id(groups.ring.random.randbytes(20)) for _ in range(3)]
    for name in names:
        groups.join(name, groups.ring.random.sample(groups.hosts, max(1, size // share)))
    groups.ring.run(5.0)
    return groups, names


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@pytest.mark.parametrize("size", [1, 2, 3, 5, 20, 100])
def test_news_reach_every_member_and_nobody_else(size: int) -> None:
    groups, names = grown(size, seed=size)
    for name in names:
        groups.everybody_is_reached(name)


def test_news_for_a_group_without_members_vanish() -> None:
    groups, _ = grown(5, seed=1)
    groups.multicast(Id(b"nobody here" + bytes(9)), b"hello?", groups.hosts[0])
    assert groups.readers_of(b"hello?") == []


def test_who_left_is_not_reached_and_the_tree_is_pruned() -> None:
    groups, (name, *_) = grown(20, seed=2)
    for host in groups.members(name):
        groups.leave(name, host)
    groups.ring.run(120.0)
    groups.ring.observed.events.clear()
    groups.multicast(name, b"anybody?", groups.hosts[0])
    assert groups.ring.observed.of(MulticastReceived) == []


def test_a_forwarder_that_leaves_as_a_member_forwards_on() -> None:
    groups, (name, *_) = grown(20, seed=3)
    leaver = groups.members(name)[0]
    groups.leave(name, leaver)
    groups.ring.run(30.0)
    groups.everybody_is_reached(name)
    assert leaver not in groups.members(name)


@pytest.mark.no_cover
@pytest.mark.parametrize("reports", [False, True])
def test_after_a_third_of_the_nodes_died_the_trees_are_whole_again(reports: bool) -> None:
    groups, names = grown(60, seed=4, reports_unreachable=reports)
    for host in groups.ring.random.sample(groups.hosts, 20):
        groups.ring.crash(host)
    groups.ring.run(75.0)
    for name in names:
        groups.everybody_is_reached(name)


def test_the_death_of_the_root_is_repaired_by_the_next_root() -> None:
    groups, (name, *_) = grown(20, seed=5)
    groups.ring.crash(groups.ring.root_of(name))
    groups.ring.run(60.0)
    groups.everybody_is_reached(name)
    heir = groups.ring.root_of(name)
    roots = [e.at for e in groups.ring.observed.of(ParentFound) if e.parent is None]
    assert heir.id in roots


def test_a_new_root_takes_over_within_seconds() -> None:
    groups, (name, *_) = grown(20, seed=6)
    newcomer = groups.ring.add(name)
    groups.ring.start(newcomer, [groups.hosts[0]])
    groups.ring.run_until(lambda: newcomer.node.is_ready, 5.0)
    for _ in range(5):
        groups.everybody_is_reached(name)
    assert groups.ring.root_of(name) is newcomer


def test_newcomers_and_returning_members_are_reached() -> None:
    groups, (name, *_) = grown(20, seed=7)
    back: list[Host] = groups.members(name)[:3]
    for host in back:
        groups.ring.crash(host)
    groups.ring.run(30.0)
    fresh = groups.ring.add()
    for host in (*back, fresh):
        groups.ring.start(host, [groups.hosts[-1]] if host is fresh else [])
    groups.join(name, [*back, fresh])
    groups.ring.run(40.0)
    groups.everybody_is_reached(name)
    assert fresh in groups.members(name)


@pytest.mark.no_cover
def test_the_trees_of_a_cut_ring_grow_together_again() -> None:
    groups, names = grown(40, seed=8)
    groups.ring.part(groups.hosts[:20])
    groups.ring.run(120.0)
    groups.ring.heal()
    groups.ring.run(90.0)
    for name in names:
        groups.everybody_is_reached(name)


@pytest.mark.no_cover
def test_after_losses_and_duplicates_everybody_is_reached() -> None:
    groups, names = grown(40, seed=9, loss=0.05, duplication=0.05)
    groups.ring.run(120.0)
    groups.ring.loss = 0.0
    groups.ring.run(30.0)
    for name in names:
        groups.everybody_is_reached(name)


@pytest.mark.no_cover
def test_refreshing_many_groups_takes_few_messages() -> None:
    groups = Groups(2, seed=10)
    leaf, _ = groups.hosts
    names = [Id(groups.ring.random.randbytes(20)) for _ in range(200)]
    for name in names:
        groups.join(name, [leaf])
    groups.ring.run(60.0)
    groups.ring.sent.clear()
    groups.ring.run(600.0)
    assert sum(groups.ring.sent.values()) / 600.0 / 2 < 1.0
    groups.everybody_is_reached(names[0])
