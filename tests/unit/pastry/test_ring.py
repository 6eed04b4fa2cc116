"""Many nodes together: joining, routing, deaths, sleep, restarts, partitions, churn."""

import random

import pytest

from epost.pastry.config import PastryConfig
from epost.pastry.observed import BecameReady, Delivered, NodeFailed
from tests.support.churn import Churn
from tests.support.ring import Host, Ring


def grown(size: int, **settings: object) -> tuple[Ring, list[Host]]:
    ring = Ring(**settings)  # type: ignore[arg-type]
    hosts = ring.grow(size)
    ring.run_until(ring.is_converged, 60.0)
    ring.run(20.0)
    return ring, hosts


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 18])
def test_look_ups_go_right_in_rings_of_any_size(size: int) -> None:
    ring, _ = grown(size, seed=size)
    ring.look_ups_go_right(100)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_hundred_nodes_route_in_few_hops() -> None:
    ring, _ = grown(100, seed=4)
    ring.observed.events.clear()
    ring.look_ups_go_right(1000)
    hops = [event.hops for event in ring.observed.of(Delivered)]
    # Ideal tables give 1.69 (static calculation for 100 nodes, l = 16, b = 4).
    assert 1.5 < sum(hops) / len(hops) < 1.9
    assert max(hops) <= 5


@pytest.mark.no_cover
def test_a_ring_at_rest_is_nearly_silent() -> None:
    ring, _ = grown(100, seed=5)
    ring.sent.clear()
    ring.run(900.0)
    assert sum(ring.sent.values()) / 900.0 / 100 < 0.6
    assert max(ring.sent.values()) / 900.0 < 1.0


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("config", "reports", "seconds_max"),
    [
        (PastryConfig(), False, 30.0),
        (PastryConfig.brisk(), False, 10.0),
        (PastryConfig(), True, 20.0),
    ],
)
def test_the_whole_leaf_set_learns_of_a_death_in_time(
    config: PastryConfig, reports: bool, seconds_max: float
) -> None:
    ring, hosts = grown(40, seed=6, config=config, reports_unreachable=reports, loss=0.01)
    for victim in random.Random(1).sample(hosts, 5):
        ring.crash(victim)
        ring.run_until(ring.is_converged, seconds_max)
    ring.look_ups_go_right(100)


@pytest.mark.no_cover
def test_all_who_knew_them_learn_of_four_who_die_in_a_row() -> None:
    ring, hosts = grown(60, seed=12)
    hosts.sort(key=lambda host: host.id)
    for victim in hosts[20:24]:
        ring.crash(victim)
    ring.run_until(ring.is_converged, 45.0)


def test_a_neighbour_that_dies_while_messages_flow_is_routed_around() -> None:
    ring, hosts = grown(30, seed=7)
    key = ring.random.randbytes(20)
    root = ring.root_of(key)
    ring.crash(root)
    asker = next(host for host in hosts if host is not root)
    ring.look_up(asker, key)
    ring.run(12.0)  # two tries, then a verdict at the last hop and one at the heir
    heir = ring.root_of(key)
    assert [found for found, _, _ in heir.mailbox.delivered] == [key]


def test_duplicates_and_losses_harm_nobody() -> None:
    ring, _ = grown(30, seed=8, loss=0.05, duplication=0.3, latency=(0.001, 0.4))
    ring.look_ups_go_right(300, patience_seconds=30.0)


def test_a_restarted_node_is_back_at_once_and_where_it_listens_now() -> None:
    ring, hosts = grown(20, seed=9)
    ring.crash(hosts[5])
    ring.run(2.0)
    ring.move(hosts[5], 7777)
    ring.start(hosts[5])
    ring.run_until(ring.is_converged, 5.0)
    ring.look_ups_go_right(100)
    neighbour = ring.hosts[hosts[5].node.neighbours()[0].id]
    assert hosts[5].handle in neighbour.node.neighbours()


@pytest.mark.parametrize("down_seconds", [0.5, 3.0, 20.0])
def test_daemons_that_come_back_together_are_whole_as_fast_as_they_start(
    down_seconds: float,
) -> None:
    ring, hosts = grown(30, seed=19, config=PastryConfig.brisk())
    victims = hosts[3:20:6]
    for host in victims:
        ring.crash(host)
    ring.run(down_seconds)
    for host in victims:
        ring.start(host)
    seconds = ring.run_until(ring.is_converged, 10.0)
    assert seconds < 4.0


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [2, 3, 5, 40])
@pytest.mark.parametrize("reports", [False, True])
def test_after_all_nodes_were_killed_they_find_one_ring_again(size: int, reports: bool) -> None:
    ring, hosts = grown(size, seed=10 + size, loss=0.01, reports_unreachable=reports)
    for host in hosts:
        ring.crash(host)
    ring.run(3.0)
    ring.observed.events.clear()
    for host in hosts:
        ring.start(host)
        ring.run(ring.random.random() * 0.3)
    ring.run_until(ring.is_converged, 20.0)
    assert sum(event.founded for event in ring.observed.of(BecameReady)) == 1
    ring.look_ups_go_right(100)


def test_a_former_member_alone_is_not_joined_until_others_come() -> None:
    ring, hosts = grown(5, seed=11)
    for host in hosts:
        ring.crash(host)
    ring.start(hosts[3])
    ring.run(1800.0)
    assert not hosts[3].node.is_ready
    ring.start(hosts[1])
    ring.run_until(lambda: hosts[3].node.is_ready and hosts[1].node.is_ready, 6.0)
    for host in (hosts[0], hosts[2], hosts[4]):
        ring.start(host)
    ring.run_until(ring.is_converged, 5.0)


def test_a_new_node_may_help_a_former_member_to_form_the_ring() -> None:
    ring, hosts = grown(2, seed=12)
    for host in hosts:
        ring.crash(host)
    ring.start(hosts[1])
    newcomer = ring.start(ring.add(), [hosts[1]])
    ring.run_until(lambda: newcomer.node.is_ready, 10.0)
    ring.start(hosts[0])
    ring.run_until(ring.is_converged, 10.0)


def test_a_ring_that_shrank_to_one_node_grows_again() -> None:
    ring, hosts = grown(4, seed=13)
    for host in hosts[1:]:
        ring.crash(host)
    ring.run(1000.0)
    assert hosts[0].node.is_ready
    for host in hosts[1:]:
        ring.start(host)
    ring.run_until(ring.is_converged, 5.0)


@pytest.mark.no_cover
@pytest.mark.parametrize(("size", "seconds"), [(2, 300.0), (5, 60.0), (40, 300.0), (40, 5.0)])
def test_the_parts_of_a_cut_ring_merge(size: int, seconds: float) -> None:
    ring, hosts = grown(size, seed=14, loss=0.01)
    ring.part(hosts[: size // 2])
    ring.run(seconds)
    ring.heal()
    ring.run_until(ring.is_converged, 40.0)
    ring.look_ups_go_right(100)


def test_rings_that_resumed_apart_merge() -> None:
    ring, hosts = grown(20, seed=15)
    for host in hosts:
        ring.crash(host)
    ring.part(hosts[:10])
    for host in hosts:
        ring.start(host)
    ring.run(600.0)
    assert all(host.node.is_ready for host in hosts)
    ring.heal()
    ring.run_until(ring.is_converged, 40.0)


def test_two_nodes_that_cannot_reach_each_other_for_a_while_meet_again() -> None:
    ring, hosts = grown(10, seed=16)
    one = hosts[0]
    other = ring.hosts[one.node.neighbours()[0].id]
    ring.observed.events.clear()
    ring.cut(one, other)
    ring.run(40.0)
    assert other.handle not in one.node.neighbours()
    assert {event.at for event in ring.observed.of(NodeFailed)} == {one.id, other.id}
    ring.heal()
    ring.run_until(ring.is_converged, 35.0)


@pytest.mark.parametrize("seconds", [5.0, 20.0, 600.0])
def test_nodes_that_sleep_join_again_when_they_wake(seconds: float) -> None:
    ring, hosts = grown(12, seed=17)
    for host in hosts[:6]:
        ring.sleep(host, seconds)
    ring.run(seconds)
    ring.run_until(ring.is_converged, 30.0)
    ring.look_ups_go_right(50)


def test_a_whole_ring_may_sleep() -> None:
    ring, hosts = grown(5, seed=18)
    for host in hosts:
        ring.sleep(host, 3600.0)
    ring.run(3600.0)
    ring.run_until(ring.is_converged, 10.0)


def test_a_good_bye_spares_the_others_the_wait() -> None:
    ring, hosts = grown(12, seed=19)
    hosts[3].node.leave()
    ring.perform(hosts[3])
    ring.crash(hosts[3])
    ring.run_until(ring.is_converged, 1.0)


@pytest.mark.no_cover
def test_no_look_up_goes_wrong_while_nodes_come_and_go() -> None:
    ring = Ring(seed=20, loss=0.01, duplication=0.01)
    churn = Churn(ring, mean_session_seconds=600.0)
    ring.grow(50)
    ring.run_until(ring.is_converged, 60.0)
    ring.sent.clear()
    churn.run(900.0)
    assert churn.crashes > 40
    assert churn.wrong == []
    assert sum(ring.sent.values()) / 900.0 / 50 < 2.5
    ring.run_until(ring.is_converged, 60.0)
    ring.look_ups_go_right(300)


@pytest.mark.long
@pytest.mark.parametrize("seed", [21, 22])
def test_a_hundred_nodes_survive_an_hour_of_churn(seed: int) -> None:
    ring = Ring(seed=seed, loss=0.01, reports_unreachable=seed % 2 == 0)
    churn = Churn(ring, mean_session_seconds=1800.0)
    hosts = ring.grow(100)
    ring.run_until(ring.is_converged, 60.0)
    ring.at(ring.now + 1000.0, lambda: ring.part(hosts[:40]))
    ring.at(ring.now + 1200.0, ring.heal)
    churn.run(3600.0)
    ring.run_until(ring.is_converged, 60.0)
    churn.wrong.clear()  # while the ring was cut, two nodes were right
    ring.look_ups_go_right(1000)
    assert churn.wrong == []


def storm(seed: int) -> Ring:
    """Crash, restart, move, cut, suspend at random, then let everything come back."""
    dice = random.Random(seed)
    ring = Ring(
        seed=seed,
        config=dice.choice((PastryConfig(), PastryConfig.brisk())),
        loss=dice.choice((0.0, 0.01, 0.05)),
        duplication=dice.choice((0.0, 0.05)),
        latency=dice.choice(((0.001, 0.01), (0.05, 0.3))),
        reports_unreachable=dice.random() < 0.5,
    )
    hosts = ring.grow(dice.choice((2, 3, 5, 10, 18, 25)), pause_seconds=1.0)

    def restart(host: Host) -> None:
        ring.start(host, hosts[:1], is_first=host is hosts[0])

    for _ in range(dice.randrange(3, 10)):
        live, down = ring.live, [host for host in hosts if not host.is_up]
        match dice.randrange(5):
            case 0 if live:
                for host in dice.sample(live, dice.randint(1, len(live))):
                    ring.crash(host)
            case 1:
                for host in dice.sample(down, dice.randint(0, len(down))):
                    if host is not hosts[0]:
                        ring.move(host, dice.randrange(1024, 65536))
                    restart(host)
            case 2:
                ring.part(dice.sample(hosts, len(hosts) // 2))
            case 3:
                ring.heal()
            case 4 if live:
                for host in dice.sample(live, dice.randint(1, len(live))):
                    ring.sleep(host, dice.choice((1.0, 10.0, 60.0)))
        ring.run(dice.choice((0.1, 1.0, 10.0, 100.0)))
    ring.heal()
    for host in hosts:
        if not host.is_up:
            restart(host)
    ring.run(60.0)
    return ring


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(12))
def test_when_a_storm_is_over_the_ring_is_whole(seed: int) -> None:
    ring = storm(seed)
    ring.run_until(ring.is_converged, 60.0)
    ring.loss = 0.0
    ring.look_ups_go_right(50)


def test_a_seed_repeats_a_run_exactly() -> None:
    one, other = storm(3), storm(3)
    assert one.sent == other.sent
    assert one.observed.events == other.observed.events
