"""Who lives: what enters the leaf set, suspicion, verdicts, and what is told to whom."""

import pytest

from epost.foundation.ids import NodeHandle
from epost.pastry.config import PastryConfig
from epost.pastry.messages import (
    FailureNotice,
    Heartbeat,
    Hints,
    JoinReply,
    LeafSetProbe,
    LeafSetReply,
    Leaving,
    Ping,
    Pong,
    RowRequest,
    Standing,
)
from epost.pastry.observed import NodeFailed, NodeJoined, PacketRefused, SuspicionCleared
from tests.support.conversation import Conversation, member_of_ring, peer, spot
from tests.support.ring import RING

QUIET = PastryConfig(exchange_seconds=10_000.0, exchange_quiet_seconds=10_000.0)
A, B, C = peer(0.1), peer(0.2), peer(0.9)
SIXTEEN = [peer(0.5 + step / 100) for step in (*range(-8, 0), *range(1, 9))]


def test_what_others_say_of_a_node_is_only_a_reason_to_ask_it() -> None:
    talk = member_of_ring(A)
    talk.hears(A, LeafSetProbe(1, Standing.READY, (B,)))
    assert talk.leaves == [A]
    ((to, probe),) = talk.said(LeafSetProbe)
    assert to == B
    talk.hears(B, LeafSetReply(probe.nonce, Standing.READY, ()))
    assert talk.leaves == [A, B]
    assert talk.mailbox.updates == [(A.id, True), (B.id, True)]


def test_an_answer_that_was_not_asked_for_enters_nobody() -> None:
    talk = member_of_ring(A)
    talk.hears(B, LeafSetReply(99, Standing.READY, (C,)))
    assert talk.leaves == [A]
    assert talk.said(LeafSetProbe) == []


def test_a_prober_is_entered_and_told_our_leaf_set() -> None:
    talk = member_of_ring(A)
    talk.hears(B, LeafSetProbe(7, Standing.FRESH, ()))
    assert talk.leaves == [A, B]
    ((to, reply),) = talk.said(LeafSetReply)
    assert (to, reply) == (B, LeafSetReply(7, Standing.READY, (A, B)))


def test_handles_of_other_rings_are_refused() -> None:
    talk = member_of_ring(A)
    alien = peer(0.3, ring=b"other" * 4)
    talk.hears(A, LeafSetProbe(1, Standing.READY, (alien, talk.me)))
    assert talk.said(LeafSetProbe) == []
    talk.hears(alien, LeafSetProbe(1, Standing.READY, ()))
    assert talk.said() == []
    assert [event.sender for event in talk.observed.of(PacketRefused)] == [A.id, alien.id]


def test_somebody_who_claims_our_own_id_is_refused() -> None:
    talk = member_of_ring(A)
    talk.hears(talk.me, Heartbeat(Standing.READY))
    assert len(talk.observed.of(PacketRefused)) == 1


def test_a_nearer_node_displaces_a_member_of_a_full_leaf_set() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.mailbox.updates.clear()
    talk.meets(peer(0.505))
    assert talk.mailbox.updates == [(spot(0.505), True), (spot(0.58), False)]
    assert len(talk.leaves) == 16
    assert not talk.node.members(talk.now)[-1].absent_since


def test_the_predecessor_gets_heartbeats_the_others_do_not() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.waits(10.0)
    assert [to for to, _ in talk.said(Heartbeat)] == [peer(0.49)]


def test_a_silent_successor_is_suspected_probed_and_given_up() -> None:
    talk = member_of_ring(A, B, C, config=QUIET)
    talk.hears(B, Heartbeat(Standing.READY))
    talk.waits(14.0)
    assert talk.said(LeafSetProbe) == []
    talk.waits(1.0)
    assert [to for to, _ in talk.said(LeafSetProbe)] == [C]
    talk.waits(3.0)
    assert talk.leaves == [A, B]
    assert talk.observed.of(NodeFailed) == [NodeFailed(talk.me.id, C.id)]
    assert talk.mailbox.updates[-1] == (C.id, False)


def test_who_becomes_the_successor_unheard_for_long_is_asked_at_once() -> None:
    talk = member_of_ring(A, B, C, config=QUIET)
    for _ in range(20):
        talk.hears(C, Heartbeat(Standing.READY))
        talk.waits(5.0)
    talk.unheard.clear()
    talk.hears(C, Leaving())
    assert [to for to, _ in talk.said(LeafSetProbe)] == [A]


def test_who_errs_in_taking_us_for_its_predecessor_is_told_our_leaf_set() -> None:
    talk = member_of_ring(A, B, C, config=QUIET)
    talk.waits(1.0)
    talk.hears(B, Heartbeat(Standing.READY))
    assert talk.said(LeafSetProbe) == [], "we have just compared"
    talk.waits(9.0)
    talk.hears(C, Heartbeat(Standing.READY))
    assert talk.said(LeafSetProbe) == [], "it is right"
    talk.hears(B, Heartbeat(Standing.READY))
    assert [to for to, _ in talk.said(LeafSetProbe)] == [B]


def test_leaf_sets_are_compared_soon_after_a_change_and_seldom_while_all_is_quiet() -> None:
    talk = member_of_ring(*SIXTEEN)
    nearest = talk.node.neighbours()[7]
    compared = []
    for second in range(1250):
        if second % 10 == 0:
            talk.hears(peer(0.51), Heartbeat(Standing.READY))
        talk.waits(1.0)
        probed = [to for to, packet in talk.unheard if isinstance(packet, LeafSetProbe)]
        compared += [talk.now] * probed.count(nearest)
        talk.answers()
    assert len(compared) == 2
    assert compared[0] < 180.0 < 1000.0 < compared[1]


def test_traffic_of_any_application_counts_as_a_heartbeat() -> None:
    talk = member_of_ring(A, config=QUIET)
    for _ in range(40):
        talk.node.heard_from(A, talk.now)
        talk.waits(5.0)
    assert talk.leaves == [A]
    assert talk.said(LeafSetProbe) == []


def test_a_failure_is_announced_to_the_leaf_set() -> None:
    talk = member_of_ring(A, B, C)
    talk.node.on_unreachable(A.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    notices = sorted(talk.said(FailureNotice))
    assert notices == [(B, FailureNotice((A.node_id,))), (C, FailureNotice((A.node_id,)))]


def test_an_announced_failure_is_verified_before_it_is_believed() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.waits(5.0)
    talk.answers()
    dead, alive = peer(0.55), peer(0.45)
    talk.hears(peer(0.51), FailureNotice((dead.node_id, alive.node_id, spot(0.3))))
    probed = [to for to, _ in talk.unheard]
    assert probed == [dead, alive]
    for _ in range(4):
        talk.answers(dead)
        talk.waits(1.0)
    assert dead not in talk.leaves
    assert alive in talk.leaves
    assert talk.said(FailureNotice) == [], "who announced it has told the others"
    assert talk.observed.of(SuspicionCleared)[0].node == alive.id


@pytest.mark.parametrize("share", [0.51, 0.52, 0.49, 0.48])
def test_the_two_nearest_on_each_side_of_a_failed_node_announce_it(share: float) -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.waits(5.0)
    talk.hears(peer(0.53), FailureNotice((spot(share),)))
    talk.said()
    talk.waits(3.0)
    assert len(talk.said(FailureNotice)) == 15


def test_notices_about_somebody_heard_just_now_are_ignored() -> None:
    talk = member_of_ring(A, B)
    talk.hears(B, Heartbeat(Standing.READY))
    talk.hears(A, FailureNotice((B.node_id,)))
    assert talk.said() == []


def test_a_full_leaf_set_is_repaired_with_the_help_of_a_member_of_that_side() -> None:
    talk = member_of_ring(*SIXTEEN)
    lost, next_out, farther = peer(0.53), peer(0.59), peer(0.6)
    talk.node.on_unreachable(lost.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    assert lost not in talk.leaves
    assert not talk.node.covers(spot(0.1), 1), "others may be beyond the end"
    ((adviser, probe),) = [(to, p) for to, p in talk.said(LeafSetProbe) if to != lost]
    assert adviser == peer(0.56)
    talk.hears(adviser, LeafSetReply(probe.nonce, Standing.READY, (next_out, farther)))
    ((to, probe),) = talk.said(LeafSetProbe)
    assert to == next_out
    talk.hears(next_out, LeafSetReply(probe.nonce, Standing.READY, ()))
    assert next_out in talk.leaves
    assert not talk.node.covers(spot(0.1), 1)
    assert talk.node.covers(spot(0.5), 1)


def test_an_adviser_that_does_not_answer_is_replaced() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.node.on_unreachable(spot(0.53), talk.now)
    talk.perform()
    talk.waits(3.0)
    talk.said()
    talk.waits(3.0)
    assert peer(0.56) not in talk.leaves
    ((other, probe),) = {to: p for to, p in talk.said(LeafSetProbe) if to in talk.leaves}.items()
    assert other == SIXTEEN[-2]
    assert not talk.node.covers(spot(0.1), 1)
    talk.hears(other, LeafSetReply(probe.nonce, Standing.READY, (talk.me, *talk.leaves)))
    assert talk.node.covers(spot(0.1), 1)


def test_a_ring_that_shrank_below_the_leaf_set_is_known_whole_again() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.node.on_unreachable(spot(0.53), talk.now)
    talk.perform()
    talk.waits(3.0)
    assert not talk.node.covers(spot(0.1), 1)
    talk.answers(peer(0.53))
    assert not talk.node.covers(spot(0.1), 1), "the adviser knows less than we do"
    while not (asked := talk.said(LeafSetProbe)):
        talk.waits(0.5)
    adviser, probe = asked[0]
    talk.hears(adviser, LeafSetReply(probe.nonce, Standing.READY, (talk.me, *talk.leaves)))
    assert talk.node.covers(spot(0.1), 1)


def test_a_ring_hardly_larger_than_the_leaf_set_fills_it_from_the_other_side() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.node.on_unreachable(spot(0.53), talk.now)
    talk.perform()
    talk.waits(3.0)
    ((adviser, probe),) = [(to, p) for to, p in talk.said(LeafSetProbe) if to != peer(0.53)]
    other = peer(0.4)  # half-way around it is nearer the predecessors, who lack nobody
    talk.hears(adviser, LeafSetReply(probe.nonce, Standing.READY, (talk.me, other)))
    ((to, probe),) = talk.said(LeafSetProbe)
    assert to == other
    talk.hears(other, LeafSetReply(probe.nonce, Standing.READY, ()))
    assert other in talk.leaves


def test_nobody_from_the_other_side_takes_the_place_of_a_lost_member() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.node.on_unreachable(spot(0.53), talk.now)
    talk.perform()
    talk.waits(3.0)
    talk.said()
    farther = (peer(0.41), peer(0.40))
    talk.hears(peer(0.42), LeafSetProbe(1, Standing.READY, farther))
    assert [to for to, _ in talk.said(LeafSetProbe) if to in farther] == []


def test_a_notice_repeats_who_was_lost_shortly_before() -> None:
    talk = member_of_ring(*SIXTEEN, config=QUIET)
    talk.waits(2.0)
    for share in (0.54, 0.51):
        talk.hears(peer(0.52), FailureNotice((spot(share),)))
        talk.waits(3.5)
    notices = [packet.failed for _, packet in talk.said(FailureNotice)]
    assert spot(0.54) not in [failed for named in notices[:1] for failed in named[1:]]
    of_the_second = next(named for named in notices if spot(0.51) in named)
    assert of_the_second[:2] == (spot(0.51), spot(0.54))


def test_a_replacement_that_does_not_answer_is_replaced() -> None:
    talk = member_of_ring(*SIXTEEN)
    lost, dead = peer(0.53), peer(0.59)
    talk.node.on_unreachable(lost.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    ((adviser, probe),) = [(to, p) for to, p in talk.said(LeafSetProbe) if to != lost]
    talk.hears(adviser, LeafSetReply(probe.nonce, Standing.READY, (dead, peer(0.6))))
    talk.said()
    talk.waits(3.0)
    ((adviser, probe),) = {to: p for to, p in talk.said(LeafSetProbe) if to != dead}.items()
    talk.hears(adviser, LeafSetReply(probe.nonce, Standing.READY, (dead, peer(0.6))))
    assert [to for to, _ in talk.said(LeafSetProbe)] == [peer(0.6)]


def test_hints_about_a_node_just_found_silent_are_ignored_for_a_while() -> None:
    talk = member_of_ring(A, B)
    talk.node.on_unreachable(B.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    talk.said()
    talk.hears(A, JoinReply((B,)))
    assert talk.said(LeafSetProbe) == []
    talk.waits(11.0)
    talk.answers(B)
    talk.hears(A, JoinReply((B,)))
    assert [to for to, _ in talk.said(LeafSetProbe)] == [B]


def test_a_false_verdict_heals_when_the_node_is_heard() -> None:
    talk = member_of_ring(A, B)
    talk.node.on_unreachable(B.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    assert talk.leaves == [A]
    talk.said()
    talk.hears(B, Heartbeat(Standing.READY))
    talk.answers()
    assert talk.leaves == [A, B]


def test_a_lost_member_heard_by_another_application_is_asked_where_it_stands() -> None:
    talk = member_of_ring(A, B)
    talk.node.on_unreachable(B.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    talk.said()
    talk.node.heard_from(B, talk.now)
    talk.waits(10.0)
    assert B in [to for to, _ in talk.said(LeafSetProbe)]


def test_a_leaving_node_is_gone_at_once_and_hints_do_not_bring_it_back() -> None:
    talk = member_of_ring(A, B, C)
    talk.node.on_unreachable(A.id, talk.now)
    talk.perform()
    talk.hears(A, Leaving())
    assert talk.leaves == [B, C]
    talk.said()
    talk.hears(B, JoinReply((A,)))
    assert talk.said() == []


def test_full_leaf_sets_are_compared_with_the_next_members_soon_and_with_all_in_time() -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.said()
    first_asked: dict[NodeHandle, float] = {}
    began = talk.now
    for _ in range(930):
        talk.waits(1.0)
        for to, packet in talk.unheard:
            if isinstance(packet, LeafSetProbe):
                first_asked.setdefault(to, talk.now - began)
        talk.answers()
    soon = {node for node, seconds in first_asked.items() if seconds <= 80.0}
    assert soon == set(talk.node.neighbours()[7:9])
    assert set(first_asked) == set(SIXTEEN)


def test_a_member_that_moved_is_told_at_its_new_address() -> None:
    talk = member_of_ring(A)
    moved = peer(0.1, port=5000)
    talk.hears(moved, Heartbeat(Standing.READY))
    assert talk.leaves == [moved]
    talk.waits(10.0)
    assert [to for to, _ in talk.said(Heartbeat)] == [moved]


def test_members_list_the_absent_with_the_time_they_went() -> None:
    talk = member_of_ring(A, B)
    talk.node.on_unreachable(B.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    live, absent = talk.node.members(talk.now)
    assert (live.node, live.live, live.absent_since) == (A, True, None)
    assert (absent.node, absent.live, absent.absent_since) == (B, False, talk.now)
    later = talk.now + talk.config.absence_kept_seconds + 1.0
    assert [member.node for member in talk.node.members(later)] == [A]


@pytest.mark.parametrize("standing", [Standing.FRESH, Standing.RESUMING])
def test_only_ready_nodes_enter_the_routing_table_by_their_own_word(standing: Standing) -> None:
    talk = member_of_ring(*SIXTEEN)
    talk.hears(B, Ping(3, standing))
    assert talk.said() == [(B, Pong(3, Standing.READY))]
    talk.hears(A, RowRequest(0, False))
    assert B not in hinted(talk)
    talk.hears(B, Ping(3, Standing.READY))
    talk.said()
    talk.hears(A, RowRequest(0, False))
    assert B in hinted(talk)


def hinted(talk: Conversation) -> tuple[NodeHandle, ...]:
    return tuple(node for _, hints in talk.said(Hints) for node in hints.handles)


def test_joining_is_reported() -> None:
    talk = member_of_ring(A)
    assert talk.observed.of(NodeJoined) == [NodeJoined(talk.me.id, A.id)]
    assert A.ring == RING
