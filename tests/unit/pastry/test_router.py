"""Routed messages at one node: taken over, passed on, held, parked, delivered once."""

import pytest

from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Application
from epost.pastry import router as router_module
from epost.pastry.config import HOPS_MAX, PastryConfig
from epost.pastry.messages import (
    Heartbeat,
    Hints,
    HopAck,
    JoinReply,
    LeafSetReply,
    Standing,
    Transit,
)
from epost.pastry.observed import Delivered, HopFailed, MessageDropped, PacketRefused, Routed
from tests.support.conversation import Conversation, member_of_ring, peer, spot

A, B = peer(0.1), peer(0.9)
MINE, ANEAR, BNEAR = spot(0.51), spot(0.12), spot(0.88)


def transit(
    key: Id,
    *,
    hop: int = 1,
    hops: int = 1,
    origin: NodeHandle = A,
    message: bytes = b"m" * 16,
    application: Application = Application.PAST,
    body: bytes = b"body",
) -> Transit:
    return Transit(hop, message, origin, key, application, hops, body)


def sent_on(talk: Conversation) -> list[tuple[NodeHandle, Transit]]:
    return talk.said(Transit)


def dropped(talk: Conversation) -> list[str]:
    return [event.reason for event in talk.observed.of(MessageDropped)]


def test_a_message_for_a_key_of_ours_is_acknowledged_and_delivered() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(MINE))
    assert talk.said() == [(A, HopAck(1))]
    assert talk.mailbox.delivered == [(MINE, A, b"body")]
    (event,) = talk.observed.of(Delivered)
    assert (event.hops, event.origin) == (1, A.id)


def test_a_transmission_that_comes_twice_is_acknowledged_twice_and_used_once() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(MINE))
    talk.hears(A, transit(MINE))
    assert talk.said() == [(A, HopAck(1))] * 2
    assert len(talk.mailbox.delivered) == 1


def test_a_message_that_came_two_ways_is_delivered_once() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(MINE, hops=2))
    talk.hears(B, transit(MINE, hops=3))
    assert len(talk.mailbox.delivered) == 1


def test_a_message_for_another_goes_on_with_one_hop_more() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(BNEAR, hops=3, origin=peer(0.2)))
    ((to, packet),) = sent_on(talk)
    assert to == B
    assert (packet.hops, packet.origin, packet.message) == (4, peer(0.2), b"m" * 16)
    assert talk.observed.of(Routed)[0].hops == 4


def test_the_origin_of_the_first_hop_is_whoever_sent_it() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(MINE, hops=1, origin=B))
    assert talk.mailbox.delivered[0][1] == A


def test_messages_of_other_rings_are_refused() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(MINE, hops=2, origin=peer(0.3, ring=b"other" * 4)))
    assert talk.said() == []
    assert len(talk.observed.of(PacketRefused)) == 1


def test_an_application_may_stop_a_message_and_is_asked_once() -> None:
    talk = member_of_ring(A, B)
    asked = []

    def forward(key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float) -> bool:
        asked.append(next_hop)
        return False

    talk.mailbox.forward = forward  # type: ignore[method-assign]
    talk.hears(A, transit(BNEAR))
    assert asked == [B]
    assert sent_on(talk) == []


def test_a_message_without_an_application_here_still_travels() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(BNEAR, application=Application.RINGS))
    assert len(sent_on(talk)) == 1
    talk.hears(A, transit(MINE, hop=2, message=b"n" * 16, application=Application.RINGS))
    assert talk.mailbox.delivered == []


def test_own_messages_leave_in_the_next_turn() -> None:
    talk = member_of_ring(A, B)
    talk.said()
    talk.node.route(BNEAR, Application.PAST, b"hello")
    talk.node.route(MINE, Application.PAST, b"to myself")
    talk.perform()
    assert talk.said() == []
    talk.waits(0.0)
    ((to, packet),) = sent_on(talk)
    assert (to, packet.body, packet.hops, packet.origin) == (B, b"hello", 1, talk.me)
    assert talk.mailbox.delivered == [(MINE, talk.me, b"to myself")]


def test_messages_wait_until_the_node_is_ready() -> None:
    talk = Conversation()
    talk.joins(A)
    talk.said()
    talk.hears(A, transit(MINE))
    assert talk.said(HopAck)
    assert talk.mailbox.delivered == []
    talk.meets(A)
    assert talk.node.is_ready
    assert len(talk.mailbox.delivered) == 1


def test_messages_that_waited_too_long_for_readiness_are_dropped() -> None:
    talk = Conversation()
    talk.joins(A)
    for hop in (1, 2):
        talk.hears(A, transit(MINE, hop=hop, message=bytes([hop]) * 16))
        talk.waits(11.0)
    assert dropped(talk) == ["not ready in time"]
    talk.meets(A)
    assert talk.mailbox.delivered == []
    assert len(dropped(talk)) == 2


def test_a_silent_hop_is_suspected_and_a_message_for_it_waits_for_the_verdict() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(BNEAR))
    talk.said()
    talk.waits(1.0)
    assert talk.observed.of(HopFailed) == [HopFailed(talk.me.id, B.id)]
    assert [to for to, packet in talk.said()] == [B], "a probe"
    talk.waits(1.0)
    assert sent_on(talk) == [], "only its death would make another node the root"
    talk.hears(B, Heartbeat(Standing.READY))
    assert [to for to, _ in sent_on(talk)] == [B]


def test_after_the_verdict_the_message_goes_to_the_new_root() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(BNEAR))
    for _ in range(15):
        talk.waits(0.4)
        talk.answers(B)
    assert talk.leaves == [A]
    assert [event.next_hop for event in talk.observed.of(Routed)] == [B.id, A.id]


def test_a_suspected_table_entry_is_passed_by() -> None:
    near = [peer(0.5 + step / 1000) for step in (*range(-8, 0), *range(1, 9))]
    talk = member_of_ring(*near)
    for entry in (peer(0.12), peer(0.2)):
        talk.hears(entry, Heartbeat(Standing.READY))
    talk.hears(near[0], transit(spot(0.1)))
    assert [to for to, _ in sent_on(talk)] == [peer(0.12)]
    talk.waits(2.0)
    assert peer(0.2) in [to for to, _ in sent_on(talk)]


def test_an_unreachable_hop_is_not_waited_for() -> None:
    near = [peer(0.5 + step / 1000) for step in (*range(-8, 0), *range(1, 9))]
    talk = member_of_ring(*near)
    for entry in (peer(0.12), peer(0.2)):
        talk.hears(entry, Heartbeat(Standing.READY))
    talk.hears(near[0], transit(spot(0.1)))
    talk.said()
    talk.node.on_unreachable(spot(0.12), talk.now)
    talk.perform()
    assert [to for to, _ in sent_on(talk)] == [peer(0.2)]


def test_a_message_that_finds_no_way_is_given_up() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(BNEAR))
    for _ in range(40):
        talk.waits(2.0)
        talk.hears(B, Heartbeat(Standing.READY))
        talk.answers(B)
        if dropped(talk):
            break
    assert dropped(talk) == ["no way found"]


def test_a_message_in_a_loop_ends() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, transit(BNEAR, hops=HOPS_MAX - 1))
    assert len(sent_on(talk)) == 1
    talk.hears(A, transit(BNEAR, hop=2, message=b"n" * 16, hops=HOPS_MAX))
    assert sent_on(talk) == []
    assert dropped(talk) == ["too many hops"]


@pytest.mark.parametrize("is_full", [False, True])
def test_without_room_nothing_is_taken_over(monkeypatch, is_full: bool) -> None:
    talk = member_of_ring(A, B)
    if is_full:
        monkeypatch.setattr("epost.pastry.hops.IN_FLIGHT_MAX", 0)
    talk.said()
    talk.hears(A, transit(BNEAR))
    assert bool(talk.said(HopAck)) is not is_full
    talk.node.route(BNEAR, Application.PAST, b"own")
    talk.perform()
    talk.waits(0.0)
    assert dropped(talk) == (["too many in flight"] if is_full else [])


def test_what_waits_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(router_module, "WAITING_MAX", 2)
    talk = Conversation()
    for _ in range(3):
        talk.node.route(MINE, Application.PAST, b"")
    assert dropped(talk) == ["too many messages wait to depart"]
    talk.perform()
    talk.waits(0.0)
    talk.hears(A, transit(MINE))
    assert dropped(talk)[1:] == ["not ready in time"]
    talk = member_of_ring(A, B)
    talk.node.on_unreachable(B.id, talk.now)
    for hop in range(3):
        talk.hears(A, transit(BNEAR, hop=hop, message=bytes([hop]) * 16))
    assert dropped(talk) == ["too many messages wait for a verdict"]


def test_a_joiner_is_shown_the_leaf_set_around_its_id() -> None:
    talk = member_of_ring(A, B)
    joiner = peer(0.52)
    talk.hears(joiner, transit(Id(joiner.node_id), application=Application.PASTRY, body=b""))
    said = talk.said()
    assert (joiner, JoinReply((B, A))) in said
    hints = [packet for to, packet in said if isinstance(packet, Hints) and to == joiner]
    assert {node.node_id for node in hints[0].handles} == {A.node_id, B.node_id}


def test_a_returning_node_is_shown_the_way_to_whoever_is_root_without_it() -> None:
    talk = member_of_ring(A, B, peer(0.52))
    joiner = peer(0.52)
    talk.hears(
        A,
        transit(
            Id(joiner.node_id), hops=2, origin=joiner, application=Application.PASTRY, body=b""
        ),
    )
    assert (joiner, JoinReply((B, A))) in talk.said()


def test_on_the_way_to_its_root_a_joiner_gets_hints() -> None:
    talk = member_of_ring(A, B)
    joiner = peer(0.89)
    talk.hears(joiner, transit(Id(joiner.node_id), application=Application.PASTRY, body=b""))
    said = talk.said()
    assert [to for to, packet in said if isinstance(packet, Transit)] == [B]
    assert [to for to, packet in said if isinstance(packet, Hints)] == [joiner]


def test_who_is_no_member_shows_nobody_the_way() -> None:
    talk = Conversation()
    talk.joins(A)
    talk.said()
    talk.hears(B, transit(Id(B.node_id), application=Application.PASTRY, body=b""))
    talk.meets(A)
    assert talk.said(JoinReply) == []


def test_our_own_request_for_the_way_does_not_come_back_to_us() -> None:
    talk = member_of_ring(A, B)
    talk.hears(
        A, transit(talk.me.id, hops=2, origin=talk.me, application=Application.PASTRY, body=b"")
    )
    assert talk.said(JoinReply) == []


def test_a_request_for_the_way_that_fails_is_left_to_the_next_contact() -> None:
    talk = Conversation(config=PastryConfig())
    talk.joins(A)
    talk.hears(A, JoinReply(()))
    talk.said()
    talk.hears(A, Heartbeat(Standing.READY))
    talk.hears(A, Hints(()))
    assert len(sent_on(talk)) == 1
    talk.waits(2.0)
    assert len(talk.observed.of(HopFailed)) == 1
    assert dropped(talk) == []


def test_a_reply_is_no_packet_of_the_router() -> None:
    talk = member_of_ring(A, B)
    talk.hears(A, LeafSetReply(1, Standing.READY, ()))
    assert talk.said() == []
