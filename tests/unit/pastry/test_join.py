"""How a node becomes a member, resumes, and looks for what it lost."""

import pytest

from epost.foundation.wire import Application
from epost.pastry.config import PastryConfig
from epost.pastry.messages import (
    Heartbeat,
    Hints,
    JoinReply,
    LeafSetProbe,
    LeafSetReply,
    Ping,
    Pong,
    RowRequest,
    Standing,
    Transit,
)
from epost.pastry.observed import BecameReady, CeasedReady
from tests.support.conversation import Conversation, member_of_ring, peer

A, B, C = peer(0.1), peer(0.2), peer(0.3)
QUIET = PastryConfig().quiet_seconds


def test_only_the_first_node_of_an_organisation_founds_a_ring() -> None:
    founder = Conversation(config=PastryConfig(is_first=True))
    assert not founder.node.is_ready
    founder.joins()
    assert founder.node.is_ready
    assert founder.observed.of(BecameReady) == [BecameReady(founder.me.id, True)]
    stranger = Conversation()
    stranger.joins()
    stranger.waits(1000.0)
    assert not stranger.node.is_ready


def test_a_first_node_with_somebody_to_ask_asks_instead() -> None:
    for talk in (
        Conversation(config=PastryConfig(is_first=True), contacts=[A]),
        Conversation(config=PastryConfig(is_first=True)),
    ):
        talk.joins(B)
        assert not talk.node.is_ready


def test_a_new_node_asks_its_bootstrap_for_the_way_and_its_neighbours_to_confirm() -> None:
    talk = Conversation()
    talk.joins(A)
    ((to, ping),) = talk.said(Ping)
    assert to == A
    talk.hears(A, Pong(ping.nonce, Standing.READY))
    ((to, row),) = talk.said(RowRequest)
    assert (to, row.row) == (A, 255)
    talk.hears(A, Hints(()))
    ((to, request),) = talk.said(Transit)
    assert (to, request.key, request.application) == (A, talk.me.node_id, Application.PASTRY)
    talk.hears(B, JoinReply((C,)))
    assert {to.node_id for to, _ in talk.said(LeafSetProbe)} == {B.node_id, C.node_id}


def test_it_is_ready_when_all_its_leaf_set_has_confirmed_it() -> None:
    talk = Conversation()
    talk.joins(A)
    talk.hears(B, JoinReply((C,)))
    probes = {to.node_id: probe for to, probe in talk.said(LeafSetProbe)}
    talk.hears(B, LeafSetReply(probes[B.node_id].nonce, Standing.READY, (C,)))
    assert not talk.node.is_ready
    talk.hears(C, LeafSetReply(probes[C.node_id].nonce, Standing.READY, (B,)))
    assert talk.node.is_ready
    assert talk.node.epoch == 1
    assert {to.node_id for to, _ in talk.said(Heartbeat)} == {B.node_id, C.node_id}


def test_a_member_that_was_only_heard_must_confirm_too() -> None:
    talk = Conversation()
    talk.joins(A)
    talk.said()
    talk.hears(A, LeafSetProbe(1, Standing.READY, ()))
    assert not talk.node.is_ready
    talk.answers()
    assert talk.node.is_ready


def test_a_new_node_does_not_become_ready_among_new_nodes_only() -> None:
    talk = Conversation()
    talk.joins(A)
    talk.meets(A, B, standing=Standing.FRESH)
    for _ in range(100):
        talk.waits(1.0)
        talk.answers(standing=Standing.FRESH)
    assert not talk.node.is_ready


def test_hinted_nodes_that_never_answer_delay_a_joiner_only_for_a_while() -> None:
    config = PastryConfig(probe_tries=1000)
    talk = Conversation(config=config)
    talk.joins(A)
    talk.hears(A, LeafSetProbe(1, Standing.READY, (B,)))
    talk.answers(B)
    assert not talk.node.is_ready
    talk.waits(config.settle_seconds_max)
    assert talk.node.is_ready


def test_a_former_member_alone_is_not_ready_and_asks_for_ever() -> None:
    talk = Conversation(contacts=[A])
    talk.joins()
    talk.waits(3600.0)
    assert not talk.node.is_ready
    talk.said()
    talk.waits(30.0)
    assert [to for to, _ in talk.said(Ping)] == [A]


def test_former_members_that_find_only_one_another_form_the_ring() -> None:
    talk = Conversation(contacts=[peer(0.9)])
    talk.joins()
    talk.meets(peer(0.9), standing=Standing.RESUMING)
    talk.waits(QUIET * 0.9)
    talk.answers(standing=Standing.RESUMING)
    assert not talk.node.is_ready
    talk.waits(QUIET * 0.2)
    assert talk.node.is_ready
    assert talk.observed.of(BecameReady)[0].founded


def test_the_one_with_the_smallest_id_declares_the_others_follow() -> None:
    talk = Conversation(contacts=[A])
    talk.joins()
    talk.meets(A, peer(0.9), standing=Standing.RESUMING)
    for _ in range(20):
        talk.waits(1.0)
        talk.answers(standing=Standing.RESUMING)
    assert not talk.node.is_ready, "A has the smaller id"
    talk.hears(A, Heartbeat(Standing.READY))
    assert talk.node.is_ready


def test_new_nodes_do_not_count_when_former_members_agree() -> None:
    talk = Conversation(contacts=[B])
    talk.joins()
    talk.meets(A, standing=Standing.FRESH)
    talk.waits(QUIET)
    assert talk.node.is_ready


def test_a_lost_word_that_somebody_is_ready_is_asked_for() -> None:
    talk = Conversation(contacts=[A])
    talk.joins()
    talk.meets(A, standing=Standing.RESUMING)
    talk.waits(QUIET)
    talk.answers(standing=Standing.READY)
    assert talk.node.is_ready


def test_a_ready_contact_is_asked_for_the_way_only_once_a_second() -> None:
    talk = Conversation(contacts=[A, B])
    talk.joins()
    talk.said()
    talk.hears(A, Pong(0, Standing.READY))
    talk.hears(B, Pong(0, Standing.READY))
    assert len(talk.said(Transit)) == 1


def test_nobody_is_asked_before_the_node_is_told_to_join() -> None:
    talk = Conversation(contacts=[A])
    talk.waits(100.0)
    talk.hears(A, Heartbeat(Standing.READY))
    assert talk.said() == []
    talk.joins()
    assert [to for to, _ in talk.said(Ping)] == [A]


def test_bootstraps_of_other_rings_and_the_node_itself_are_left_out() -> None:
    talk = Conversation()
    talk.joins(peer(0.1, ring=b"other" * 4), talk.me)
    assert talk.said() == []


def test_a_node_that_slept_is_not_ready_until_confirmed_again() -> None:
    talk = member_of_ring(A, B)
    talk.said()
    talk.now += 60.0
    talk.node.on_timer("beat", talk.now)
    talk.perform()
    assert not talk.node.is_ready
    assert talk.observed.of(CeasedReady)[0].away_seconds == 60.0
    assert talk.leaves == [A, B], "nobody is blamed for our own sleep"
    talk.answers()
    assert talk.node.is_ready
    assert talk.node.epoch == 2


def test_messages_that_wake_a_node_do_not_make_it_a_member() -> None:
    talk = member_of_ring(A, B)
    talk.now += 60.0
    talk.node.heard_from(A, talk.now)
    assert not talk.node.is_ready


def test_a_first_node_that_never_had_company_may_sleep() -> None:
    talk = Conversation(config=PastryConfig(is_first=True))
    talk.joins()
    talk.now += 1000.0
    talk.node.on_timer("beat", talk.now)
    assert talk.node.is_ready


def test_a_ring_that_shrank_to_one_node_stays_ready_and_asks_the_lost_ones() -> None:
    talk = member_of_ring(A)
    talk.waits(60.0)
    assert talk.leaves == []
    assert talk.node.is_ready
    talk.said()
    talk.waits(31.0)
    assert A in [to for to, _ in talk.said(Ping)]
    talk.hears(A, Pong(0, Standing.RESUMING))
    talk.answers(standing=Standing.RESUMING)
    assert talk.leaves == [A]


def test_a_lost_node_that_returns_with_a_ring_is_asked_who_is_around_it() -> None:
    talk = member_of_ring(A, B)
    for _ in range(25):
        talk.waits(1.0)
        talk.answers(A)
    assert talk.leaves == [B]
    talk.said()
    talk.hears(A, Pong(0, Standing.READY))
    ((to, probe),) = talk.said(LeafSetProbe)
    assert to == A
    talk.hears(A, LeafSetReply(probe.nonce, Standing.READY, (C,)))
    assert talk.leaves == [A, B]
    assert [to for to, _ in talk.said(LeafSetProbe)] == [C]


@pytest.mark.parametrize("is_ours", [False, True])
def test_a_far_contact_is_asked_the_way_unless_it_is_in_our_ring(is_ours: bool) -> None:
    near = [peer(0.5 + step / 100) for step in (*range(-8, 0), *range(1, 9))]
    talk = member_of_ring(*near)
    talk.joins(A)
    talk.said()
    talk.hears(A, Pong(0, Standing.READY))
    ((to, probe),) = talk.said(LeafSetProbe)
    assert to == A
    talk.hears(A, LeafSetReply(probe.nonce, Standing.READY, (near[0] if is_ours else peer(0.11),)))
    assert [to for to, _ in talk.said(Transit)] == ([] if is_ours else [A])


def test_of_many_contacts_a_few_are_asked_at_a_time() -> None:
    talk = Conversation(contacts=[peer(step / 100) for step in range(1, 33)])
    talk.joins()
    first = {to for to, _ in talk.said(Ping)}
    talk.waits(0.5)
    second = {to for to, _ in talk.said(Ping)}
    assert (len(first), len(second), len(first | second)) == (16, 16, 32)


def test_who_has_left_does_not_come_back_by_itself() -> None:
    talk = member_of_ring(A)
    talk.node.leave()
    talk.perform()
    assert not talk.node.is_ready
    talk.answers()
    talk.waits(100.0)
    assert not talk.node.is_ready
