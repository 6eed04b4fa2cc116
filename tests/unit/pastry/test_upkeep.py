"""The routing table: filled by hints that were verified, repaired row by row."""

from epost.foundation.ids import NodeHandle, number, shared_digits
from epost.pastry.messages import (
    Heartbeat,
    Hints,
    LeafSetProbe,
    LeafSetReply,
    Ping,
    Pong,
    RowRequest,
    Standing,
)
from epost.pastry.round_trips import RoundTrips
from tests.support.conversation import Conversation, member_of_ring, peer, spot

NEAR = [peer(0.5 + step / 1000) for step in (*range(-8, 0), *range(1, 9))]
FAR, FARTHER = peer(0.1), peer(0.2)


def node_with(*entries: float) -> Conversation:
    talk = member_of_ring(*NEAR)
    for share in entries:
        talk.hears(peer(share), Heartbeat(Standing.READY))
    talk.waits(5.0)  # since it asked for rows when it became a member
    talk.said()
    return talk


def test_hints_fill_holes_once_the_nodes_themselves_answered() -> None:
    talk = node_with(0.2)
    talk.hears(peer(0.9), Hints((FAR, FARTHER, peer(0.21))))
    pings = dict(talk.said(Ping))
    assert set(pings) == {FAR}, "a hole; rivals of FARTHER are not measured each time"
    ping = pings[FAR]
    talk.hears(NEAR[0], RowRequest(0, False))
    assert FAR not in talk.said(Hints)[0][1].handles
    talk.hears(FAR, Pong(ping.nonce, Standing.READY))
    talk.hears(NEAR[0], RowRequest(0, False))
    assert FAR in talk.said(Hints)[0][1].handles


def test_beyond_the_last_row_the_deepest_one_is_told() -> None:
    talk = node_with(0.2)
    deepest = max(shared_digits(talk.me.node_id, node.node_id) for node in NEAR)
    talk.hears(NEAR[0], RowRequest(255, False))
    told = talk.said(Hints)[0][1].handles
    assert {shared_digits(talk.me.node_id, node.node_id) for node in told} == {deepest}


def test_who_knows_nobody_says_so() -> None:
    talk = Conversation()
    talk.hears(FAR, RowRequest(0, False))
    assert talk.said() == [(FAR, Hints(()))]


def test_a_nearer_node_takes_the_slot_of_a_farther_one() -> None:
    talk = node_with(0.2)
    rival = peer(0.21)
    for node, seconds in ((FARTHER, 0.2), (rival, 0.1)):
        if node is FARTHER:
            talk.node.on_unreachable(node.id, talk.now)
            talk.perform()
            ping = dict(talk.said(LeafSetProbe))[node]
            talk.waits(seconds)
            talk.hears(node, LeafSetReply(ping.nonce, Standing.READY, ()))
        else:
            talk.hears(node, Heartbeat(Standing.READY))
            ping = dict(talk.said(Ping))[node]
            talk.waits(seconds)
            talk.hears(node, Pong(ping.nonce, Standing.READY))
    talk.hears(NEAR[0], RowRequest(0, False))
    told = talk.said(Hints)[-1][1].handles
    assert rival in told
    assert FARTHER not in told


def test_a_node_that_is_little_nearer_does_not() -> None:
    trips = RoundTrips()
    near, far = number(spot(0.1)), number(spot(0.2))
    assert not trips.is_nearer(near, far)
    trips.learn(spot(0.1), 0.09)
    trips.learn(spot(0.2), 0.10)
    assert not trips.is_nearer(near, far)
    for _ in range(30):
        trips.learn(spot(0.1), 0.05)
    assert trips.is_nearer(near, far)


def test_a_failed_entry_is_removed_and_its_row_mates_asked() -> None:
    talk = node_with(0.1, 0.2, 0.9)
    talk.node.on_unreachable(spot(0.1), talk.now)
    talk.perform()
    talk.waits(3.0)
    ((to, request),) = talk.said(RowRequest)
    assert to in (peer(0.2), peer(0.9))
    assert request.row == 0
    talk.hears(NEAR[0], RowRequest(0, False))
    assert FAR not in talk.said(Hints)[0][1].handles


def test_a_row_is_not_asked_for_with_every_failure() -> None:
    talk = node_with(0.1, 0.2, 0.9)
    for share in (0.1, 0.2):
        talk.node.on_unreachable(spot(share), talk.now)
    talk.perform()
    talk.waits(3.0)
    assert len(talk.said(RowRequest)) == 1


def test_every_row_is_compared_once_a_period_and_silent_entries_are_pinged() -> None:
    talk = node_with(0.1)
    asked: set[int] = set()
    pinged: set[NodeHandle] = set()
    for _ in range(200):
        talk.waits(10.0)
        asked.update(packet.row for _, packet in talk.unheard if isinstance(packet, RowRequest))
        pinged.update(to for to, packet in talk.unheard if isinstance(packet, Ping))
        talk.answers()
    assert 0 in asked
    assert FAR in pinged


def test_a_row_that_is_compared_has_the_rivals_of_its_nodes_measured() -> None:
    talk = node_with(0.2)
    rival = peer(0.21)
    asked: list[NodeHandle] = []
    while not asked:
        talk.answers()
        talk.waits(1.0)
        asked = [to for to, packet in talk.unheard if isinstance(packet, RowRequest)]
    talk.said()
    talk.hears(asked[0], Hints((rival,)))
    assert [to for to, _ in talk.said(Ping)] == [rival]
    talk.hears(asked[0], Hints((peer(0.22),)))
    assert talk.said(Ping) == [], "it was asked once"


def test_an_entry_that_dies_is_found_within_a_period_however_it_lies() -> None:
    talk = node_with(0.1)
    for _ in range(200):  # until after its second ping at least
        talk.waits(10.0)
        talk.answers()
    talk.unheard.clear()
    for _ in range(91):
        talk.waits(10.0)
        talk.answers(FAR)
    talk.waits(4.0)
    talk.said()
    talk.hears(NEAR[0], RowRequest(0, False))
    assert FAR not in talk.said(Hints)[0][1].handles
