"""Replica roots are found although nodes drop, misroute and forge (Castro et al., OSDI 2002)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from epost.foundation.codec import encode
from epost.foundation.ids import Id, NodeHandle, closeness
from epost.foundation.wire import Application
from epost.pastry.config import SEARCHES_MAX, PastryConfig
from epost.pastry.messages import (
    FindRootSet,
    Heartbeat,
    HopAck,
    LeafSetProbe,
    RootSet,
    RootSetQuery,
    Standing,
    Transit,
    Witnessed,
)
from epost.pastry.observed import PacketRefused, RootSetDoubted, RootSetFound
from tests.support.conversation import Conversation, member_of_ring, peer, spot
from tests.support.liars import RingOfLiars
from tests.support.ring import Certificates, Host, Ring

NEAR = [peer(0.5 + step / 100) for step in (*range(-8, 0), *range(1, 9))]
FAR_KEY = spot(0.1)


def grown(size: int, *, seed: int) -> tuple[RingOfLiars, list[Host]]:
    ring = RingOfLiars(seed=seed)
    hosts = ring.grow(size, pause_seconds=0.1)
    ring.run_until(ring.is_converged, 60.0)
    ring.run(20.0)
    return ring, hosts


def found_by(ring: Ring, host: Host, key: bytes, size: int = 5) -> list[bytes]:
    found: list[Sequence[NodeHandle]] = []
    host.node.route_securely(Id(key), size, found.append)
    ring.perform(host)
    ring.run(8.0)
    assert len(found) == 1, "told once"
    return [node.node_id for node in found[0]]


def closest_honest(ring: RingOfLiars, key: bytes, size: int) -> set[bytes]:
    """The honest ones among the true replica roots."""
    true = sorted(ring.hosts, key=lambda name: closeness(key, name))[:size]
    return {name for name in true if name not in ring.liars}


@pytest.mark.no_cover
def test_among_honest_nodes_the_true_replica_roots_are_found() -> None:
    ring, hosts = grown(60, seed=31)
    ring.observed.events.clear()
    for _ in range(20):
        key = ring.random.randbytes(20)
        true = sorted(ring.hosts, key=lambda name: closeness(key, name))[:5]
        assert found_by(ring, ring.random.choice(hosts), key) == true
    redundant = [event.redundant for event in ring.observed.of(RootSetFound)]
    assert sum(redundant) < len(redundant) * 0.5


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_all_honest_replica_roots_are_found_among_a_quarter_of_liars() -> None:
    ring, hosts = grown(60, seed=32)
    ring.corrupt(ring.random.sample(hosts, 15))
    honest = [host for host in hosts if host.id not in ring.liars]
    missed = plain_missed = 0
    for _ in range(20):
        key, asker = ring.random.randbytes(20), ring.random.choice(honest)
        found = found_by(ring, asker, key)
        missed += not closest_honest(ring, key, 5) <= set(found)
        _, body = ring.look_up(asker, key)
        ring.run(3.0)
        root = ring.root_of(key)
        plain_missed += body not in [b for _, _, b in root.mailbox.delivered]
    assert missed == 0
    assert plain_missed > 0, "else this ring proves nothing"
    assert ring.observed.of(RootSetDoubted)


def test_what_the_own_leaf_set_covers_is_told_at_once() -> None:
    talk = member_of_ring(*NEAR)
    found: list[Sequence[NodeHandle]] = []
    talk.node.route_securely(spot(0.5), 3, found.append)
    assert [node.node_id for node in found[0]] == [spot(0.5), spot(0.49), spot(0.51)]
    assert talk.said() == []


def test_a_root_whose_leaf_set_settles_finds_the_roots_of_its_keys_as_soon_as_it_has() -> None:
    ring, hosts = grown(6, seed=33)
    newcomer = ring.start(ring.add(), [hosts[0]])
    waited: list[float] = []
    asked = 0
    while not newcomer.node.is_ready:
        ring.run(0.01)
        for host in hosts:
            if not host.node.covers(host.id, 3):
                host.node.route_securely(
                    host.id, 3, lambda _, asked_at=ring.now: waited.append(ring.now - asked_at)
                )
                ring.perform(host)
                asked += 1
    ring.run(5.0)
    assert len(waited) == asked > 0
    assert max(waited) < 0.5


def test_without_credentials_nobody_far_is_proven() -> None:
    talk = member_of_ring(*NEAR)
    found: list[Sequence[NodeHandle]] = []
    talk.node.route_securely(FAR_KEY, 3, found.append)
    assert found == [()]


def asking() -> tuple[Conversation, list[Sequence[NodeHandle]], RootSetQuery]:
    """A node that has asked the root of a far key and waits."""
    talk = member_of_ring(*NEAR, credentials=Certificates())
    found: list[Sequence[NodeHandle]] = []
    talk.node.route_securely(FAR_KEY, 3, found.append)
    talk.perform()
    talk.waits(0.0)
    ((to, transit),) = talk.said(Transit)
    talk.hears(to, HopAck(transit.hop))
    return talk, found, RootSetQuery(transit.body[3:19])


def around(key_share: float, gap: float) -> list[NodeHandle]:
    return [peer(key_share + step * gap) for step in range(-8, 9)]


def shown(nodes: Sequence[NodeHandle]) -> tuple[Witnessed, ...]:
    return tuple(Witnessed(node, b"certificate " + node.node_id) for node in nodes)


def test_a_dense_certified_set_is_believed() -> None:
    talk, found, asked = asking()
    nodes = around(0.1, 0.009)
    talk.hears(nodes[8], RootSet(asked.nonce, shown(nodes)))
    assert found == [[nodes[8], nodes[7], nodes[9]]]
    talk.hears(nodes[8], RootSet(asked.nonce, shown(nodes)))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("gap", "sender", "certified"),
    [(0.02, 8, True), (0.009, 2, True), (0.009, 8, False)],
    ids=["sparse", "not the closest it shows", "without certificates"],
)
def test_what_does_not_prove_itself_is_asked_for_by_many_ways(
    gap: float, sender: int, certified: bool
) -> None:
    talk, found, asked = asking()
    nodes = around(0.1, gap)
    members = shown(nodes)
    if not certified:
        members = tuple(Witnessed(member.node, b"forged") for member in members)
    talk.hears(nodes[sender], RootSet(asked.nonce, members))
    assert found == []
    first_hops = [to for to, _ in talk.said(Transit)]
    assert sorted(first_hops) == sorted(NEAR)
    assert len(talk.observed.of(RootSetDoubted)) == 1


def copies(talk: Conversation) -> list[tuple[NodeHandle, Transit]]:
    """The questions about the far key, not those about the node's own place."""
    return [(to, transit) for to, transit in talk.said(Transit) if transit.key == FAR_KEY]


def test_when_nobody_answers_others_leave_by_the_ordinary_table_once_and_the_search_fails() -> None:
    talk, found, _ = asking()
    talk.waits(1.5)
    sent = talk.said(Transit)
    for to, transit in sent:
        talk.hears(to, HopAck(transit.hop))  # taken over, then dropped
    first_wave = {transit.message for _, transit in sent if transit.key == FAR_KEY}
    talk.waits(1.5)
    second_wave = {transit.message for _, transit in copies(talk)} - first_wave
    assert len(first_wave) == 16
    assert second_wave
    assert found == []
    talk.waits(6.0)
    assert found == [[]]


def test_the_redundant_way_believes_certificates_and_asks_the_closest_themselves() -> None:
    talk, found, asked = asking()
    talk.waits(1.5)
    ways = copies(talk)
    assert len(ways) == 16
    nonce = ways[0][1].body[3:19]
    assert nonce != asked.nonce
    honest, hidden = around(0.1, 0.009), peer(0.1001)
    talk.hears(NEAR[0], RootSet(nonce, shown(honest)))
    for _ in range(3):
        talk.waits(1.5)
        for to, query in talk.said(RootSetQuery):
            if to != honest[7]:  # it keeps silent
                talk.hears(to, RootSet(query.nonce, shown([*honest, hidden])))
    assert [[n.node_id for n in nodes] for nodes in found] == [
        [spot(0.1), hidden.node_id, spot(0.109)]
    ]


def test_a_search_that_nobody_answers_ends_with_nobody() -> None:
    talk, found, _ = asking()
    talk.waits(10.0)
    assert found == [[]]


def test_a_search_waits_a_little_until_the_node_is_ready() -> None:
    talk = Conversation(credentials=Certificates())
    found: list[Sequence[NodeHandle]] = []
    talk.node.route_securely(FAR_KEY, 3, found.append)
    talk.perform()
    talk.joins()
    talk.waits(2.0)
    talk.meets(*NEAR)
    assert talk.node.is_ready
    talk.waits(2.0)
    assert found == [], "the search has begun"
    asleep = Conversation(credentials=Certificates())
    asleep.node.route_securely(FAR_KEY, 3, found.append)
    asleep.perform()
    asleep.waits(3.0)
    assert found == [[]]


def test_a_search_of_the_first_member_ends_when_it_founds_the_ring() -> None:
    talk = Conversation(config=PastryConfig(is_first=True), credentials=Certificates())
    found: list[Sequence[NodeHandle]] = []
    talk.node.route_securely(FAR_KEY, 3, found.append)
    assert found == []
    talk.joins()
    assert talk.node.is_ready
    assert found == [[talk.me]]
    talk.waits(10.0)
    assert len(found) == 1, "told once"


def test_a_ring_no_larger_than_the_leaf_set_is_known_whole_and_needs_no_proof() -> None:
    talk = Conversation(credentials=Certificates())
    talk.joins()
    for node in NEAR[:15]:
        talk.hears(node, LeafSetProbe(1, Standing.READY, ()))
    talk.answers()
    assert talk.node.is_ready
    assert talk.said(Transit) == []


def test_a_newcomer_asks_by_many_ways_who_is_around_it() -> None:
    talk = Conversation(credentials=Certificates())
    talk.joins()
    for node in NEAR:
        talk.hears(node, LeafSetProbe(1, Standing.FRESH, ()))
    talk.answers(standing=Standing.FRESH)
    talk.said()
    talk.hears(NEAR[0], Heartbeat(Standing.READY))
    assert talk.node.is_ready
    copies = talk.said(Transit)
    assert {to for to, _ in copies} == set(NEAR)
    assert {copy.key for _, copy in copies} == {talk.me.node_id}
    hidden = peer(0.501)
    nonce = copies[0][1].body[3:19]
    for to, copy in copies:
        talk.hears(to, HopAck(copy.hop))
    talk.hears(NEAR[0], RootSet(nonce, shown([*NEAR, hidden])))
    asked = []
    for _ in range(3):
        talk.waits(1.5)
        said = talk.said()
        asked += [to for to, packet in said if isinstance(packet, LeafSetProbe)]
        for to, query in said:
            if isinstance(query, RootSetQuery):
                talk.hears(to, RootSet(query.nonce, shown([*NEAR, hidden])))
    assert hidden in [*asked, *(to for to, _ in talk.said(LeafSetProbe))]


def test_searches_are_bounded() -> None:
    talk = member_of_ring(*NEAR, credentials=Certificates())
    found: list[Sequence[NodeHandle]] = []
    for _ in range(SEARCHES_MAX - 1):  # one more looks for its own place
        talk.node.route_securely(FAR_KEY, 3, found.append)
    assert found == []
    talk.node.route_securely(FAR_KEY, 3, found.append)
    assert found == [()]


def test_whoever_asks_is_shown_the_leaf_set_with_certificates() -> None:
    talk = member_of_ring(*NEAR, credentials=Certificates())
    talk.hears(peer(0.9), RootSetQuery(b"n" * 16))
    ((to, answer),) = talk.said(RootSet)
    assert to == peer(0.9)
    assert answer.nonce == b"n" * 16
    assert {member.node for member in answer.members} == {talk.me, *NEAR}


def test_sec_50_who_is_named_as_the_origin_of_many_questions_is_not_flooded_with_answers() -> None:
    """An answer is a hundred times as long as a question, whose origin is what a router says."""
    config = PastryConfig(root_sets_per_second=5.0, root_sets_burst=20)
    talk = member_of_ring(*NEAR, config=config, credentials=Certificates())
    liar, victim = NEAR[0], peer(0.9)
    for number in range(100):
        body = encode(FindRootSet(b"%016d" % number, is_constrained=False))
        message = b"%016d" % number
        talk.hears(liar, Transit(number, message, victim, talk.me.id, Application.PASTRY, 2, body))
    assert [to for to, _ in talk.said(RootSet)] == [victim] * config.root_sets_burst
    talk.hears(peer(0.7), RootSetQuery(b"n" * 16))
    assert len(talk.said(RootSet)) == 1, "others are answered"
    talk.waits(1.0)
    for number in range(100):
        talk.hears(victim, RootSetQuery(b"%016d" % number))
    assert len(talk.said(RootSet)) == config.root_sets_per_second


def test_a_question_of_the_overlay_that_is_none_is_refused() -> None:
    talk = member_of_ring(*NEAR)
    talk.hears(NEAR[0], Transit(1, b"m" * 16, NEAR[0], FAR_KEY, Application.PASTRY, 1, b"rubbish"))
    assert len(talk.observed.of(PacketRefused)) == 1
