"""The machine as the driver and the applications see it."""

import pytest

from epost.foundation.effects import Caller, Send
from epost.foundation.ids import Id
from epost.foundation.wire import Application, Form, unpack
from epost.pastry.contact_notes import KEY, TABLE, stored_contacts
from epost.pastry.messages import Leaving
from epost.pastry.observed import PacketRefused
from tests.support.conversation import Conversation, member_of_ring, peer, spot

A, B, C = peer(0.1), peer(0.2), peer(0.9)


def test_malformed_packets_are_reported_and_ignored() -> None:
    talk = member_of_ring(A)
    for garbage in (b"", b"\x00", b"\xff" * 50):
        talk.node.on_notify(A, garbage, talk.now)
    assert len(talk.observed.of(PacketRefused)) == 3
    assert talk.leaves == [A]


def test_requests_are_refused() -> None:
    talk = member_of_ring(A)
    talk.node.on_request(Caller(A, Application.PASTRY, 7), b"", talk.now)
    (effect,) = talk.outbox.drain()
    assert isinstance(effect, Send)
    message = unpack(effect.message)
    assert (message.form, message.call_id) == (Form.REFUSAL, 7)


def test_what_nobody_asked_for_is_a_broken_assumption() -> None:
    talk = member_of_ring(A)
    with pytest.raises(AssertionError):
        talk.node.on_loaded("block", None, talk.now)
    with pytest.raises(AssertionError):
        talk.node.on_timer("tea", talk.now)
    with pytest.raises(AssertionError):
        talk.node.register(Application.PAST, talk.mailbox)


def test_the_replica_set_is_the_closest_known_nodes_with_this_one() -> None:
    talk = member_of_ring(A, B, C)
    assert list(talk.node.replica_set(spot(0.48), 2)) == [talk.me, B]
    assert list(talk.node.replica_set(spot(0.12), 9)) == [A, B, C, talk.me]


def test_a_small_ring_covers_every_key_once_it_is_ready() -> None:
    talk = Conversation()
    assert not talk.node.covers(spot(0.1), 1)
    assert list(talk.node.replica_set(spot(0.1), 3)) == [talk.me]
    assert member_of_ring(A).node.covers(spot(0.7), 2)


def test_the_arc_of_a_node_counts_the_live_ones_and_itself() -> None:
    talk = member_of_ring(A, B, C)
    assert talk.node.arc(talk.me.id, 4, talk.now) == (talk.me.id, talk.me.id)
    start, end = talk.node.arc(talk.me.id, 1, talk.now)
    assert start < spot(0.36) < end
    assert start > spot(0.34)
    stranger = talk.node.arc(peer(0.5001).id, 1, talk.now)
    assert stranger[0] > spot(0.5)


def test_members_and_neighbours_come_sorted() -> None:
    talk = member_of_ring(C, B, A)
    assert list(talk.node.neighbours()) == [A, B, C]
    assert [member.node for member in talk.node.members(talk.now)] == [A, B, C]


def test_good_byes_go_to_the_whole_leaf_set() -> None:
    talk = member_of_ring(A, B)
    talk.node.leave()
    talk.perform()
    assert sorted(to for to, _ in talk.said(Leaving)) == [A, B]


def test_the_known_members_are_stored_for_the_next_start() -> None:
    talk = member_of_ring(A, B)
    talk.waits(6.0)
    assert list(stored_contacts([(KEY, talk.notes[TABLE, KEY])])) == [A, B]
    talk.node.on_unreachable(B.id, talk.now)
    talk.perform()
    talk.waits(10.0)
    assert B in stored_contacts([(KEY, talk.notes[TABLE, KEY])]), "lost ones stay contacts"


def test_a_new_address_of_a_member_is_stored() -> None:
    talk = member_of_ring(A)
    talk.waits(6.0)
    assert talk.node.heard_from(peer(0.1, port=5000), talk.now)
    talk.perform()
    talk.waits(6.0)
    assert list(stored_contacts([(KEY, talk.notes[TABLE, KEY])])) == [peer(0.1, port=5000)]


def test_all_applications_hear_of_changes_of_the_leaf_set() -> None:
    talk = member_of_ring(A)
    assert talk.mailbox.updates == [(A.id, True)]
    talk.node.on_unreachable(A.id, talk.now)
    talk.perform()
    talk.waits(3.0)
    assert talk.mailbox.updates == [(A.id, True), (A.id, False)]
    assert isinstance(talk.node.replica_set(Id(A.node_id), 1)[0].id, bytes)
