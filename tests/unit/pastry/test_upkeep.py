"""The routing table: filled by hints that were verified, repaired row by row."""

from epost.foundation.ids import NodeHandle
from epost.pastry.messages import (
    Heartbeat,
    Hints,
    Ping,
    Pong,
    RowRequest,
    Standing,
)
from tests.support.conversation import Conversation, member_of_ring, peer, spot

NEAR = [peer(0.5 + step / 1000) for step in (*range(-8, 0), *range(1, 9))]
FAR, FARTHER = peer(0.1), peer(0.2)


def node_with(*entries: float) -> Conversation:
    talk = member_of_ring(*NEAR)
    for share in entries:
        talk.hears(peer(share), Heartbeat(Standing.READY))
    talk.said()
    return talk


def test_hints_fill_holes_once_the_nodes_themselves_answered() -> None:
    talk = node_with(0.2)
    talk.hears(NEAR[0], Hints((FAR, FARTHER, peer(0.21))))
    ((to, ping),) = talk.said(Ping)
    assert to == FAR
    talk.hears(NEAR[0], RowRequest(0, False))
    assert FAR not in talk.said(Hints)[0][1].handles
    talk.hears(FAR, Pong(ping.nonce, Standing.READY))
    talk.hears(NEAR[0], RowRequest(0, False))
    assert FAR in talk.said(Hints)[0][1].handles


def test_an_empty_row_is_not_worth_an_answer() -> None:
    talk = node_with()
    talk.hears(NEAR[0], RowRequest(30, False))
    assert talk.said() == []


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
