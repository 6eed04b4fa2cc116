"""A question reaches some member that takes it, or is refused."""

from __future__ import annotations

import pytest

from epost.foundation.effects import Send
from epost.foundation.errors import MessageTooLarge
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Form, Message, unpack
from epost.scribe import anycast as anycast_module
from epost.scribe.config import ANYCAST_BODY_SIZE_MAX
from epost.scribe.messages import Anycast
from epost.scribe.observed import AnycastEnded
from tests.support.conversation import peer
from tests.support.groups import Groups
from tests.support.ring import Host

STRANGER = peer(0.123)
CALL = bytes(7) + b"\x05"


class Clerk:
    """Takes what it is told to take."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def on_anycast(self, group: Id, origin: NodeHandle, body: bytes, now: float) -> bytes | None:
        self.asked.append(body)
        return self.answer


def staffed(size: int, seed: int, answer: bytes | None = b"me") -> tuple[Groups, Id, list[Clerk]]:
    """Return a ring where every third host is a member with a clerk."""
    groups = Groups(size, seed=seed)
    name = Id(groups.ring.random.randbytes(20))
    members = groups.hosts[::3]
    clerks = []
    for host in members:
        clerks.append(Clerk(answer))
        groups.scribe(host).register_taker(clerks[-1])
    groups.join(name, members)
    groups.ring.run(10.0)
    return groups, name, clerks


def ask(groups: Groups, name: Id, by: Host) -> None:
    groups.scribe(by).anycast(name, b"who?", 5)
    groups.ring.perform(by)
    groups.ring.run(10.0)


def test_one_member_answers() -> None:
    groups, name, clerks = staffed(30, seed=1)
    for host in groups.hosts[1::6]:
        before = sum(len(clerk.asked) for clerk in clerks)
        ask(groups, name, host)
        assert sum(len(clerk.asked) for clerk in clerks) == before + 1
        assert [answer.body for answer in host.answers] == [b"me"]
    assert all(event.is_taken for event in groups.ring.observed.of(AnycastEnded))


def test_every_member_is_asked_until_one_takes_it() -> None:
    groups, name, clerks = staffed(30, seed=2, answer=None)
    clerks[-1].answer = b"me at last"
    ask(groups, name, groups.hosts[1])
    (event,) = groups.ring.observed.of(AnycastEnded)
    assert event.is_taken
    assert clerks[-1].asked == [b"who?"]
    assert all(len(clerk.asked) <= 1 for clerk in clerks), "nobody twice"


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_if_nobody_takes_it_all_were_asked_once_and_the_call_is_refused() -> None:
    groups, name, clerks = staffed(30, seed=3, answer=None)
    ask(groups, name, groups.hosts[1])
    (event,) = groups.ring.observed.of(AnycastEnded)
    assert not event.is_taken
    assert [clerk.asked for clerk in clerks] == [[b"who?"]] * len(clerks)
    assert [answer.form for answer in groups.hosts[1].answers] == [Form.REFUSAL]


def test_a_member_may_answer_its_own_question() -> None:
    groups, name, clerks = staffed(12, seed=4)
    ask(groups, name, groups.hosts[0])
    assert clerks[0].asked == [b"who?"]


def test_a_question_to_a_group_without_members_is_refused() -> None:
    groups = Groups(5, seed=5)
    ask(groups, Id(b"nobody here" + bytes(9)), groups.hosts[0])
    (event,) = groups.ring.observed.of(AnycastEnded)
    assert not event.is_taken


def direct(groups: Groups, host: Host, question: Anycast) -> list[tuple[bytes, Message]]:
    from epost.foundation.codec import encode

    groups.scribe(host).on_notify(STRANGER, encode(question), groups.ring.now)
    effects = [e for e in host.outbox.drain() if isinstance(e, Send)]
    return [(effect.to.node_id, unpack(effect.message)) for effect in effects]


def test_who_has_left_the_tree_sends_the_question_on() -> None:
    groups = Groups(2, seed=6)
    question = Anycast(Id(b"g" * 20), STRANGER, CALL, b"who?", (), (peer(0.4), peer(0.5)))
    ((node, message),) = direct(groups, groups.hosts[0], question)
    assert node == peer(0.4).node_id
    assert message.form is Form.NOTIFY


def test_a_question_that_comes_back_is_not_asked_again_but_sent_on() -> None:
    groups, name, clerks = staffed(3, seed=7, answer=None)
    host = groups.hosts[0]
    visited = (host.id,)
    question = Anycast(name, STRANGER, CALL, b"who?", visited, (host.handle, peer(0.5)))
    ((node, _),) = direct(groups, host, question)
    assert node == peer(0.5).node_id
    assert clerks[0].asked == []


def test_a_search_ends_after_so_many_visits(monkeypatch) -> None:
    monkeypatch.setattr(anycast_module, "ANYCAST_VISITS_MAX", 2)
    groups = Groups(2, seed=8)
    host = groups.hosts[0]
    question = Anycast(Id(b"g" * 20), STRANGER, CALL, b"who?", (b"v" * 20,), (peer(0.4),))
    ((node, message),) = direct(groups, host, question)
    assert (node, message.form, message.call_id) == (STRANGER.node_id, Form.REFUSAL, 5)


def test_a_question_is_bounded() -> None:
    groups = Groups(1, seed=9)
    with pytest.raises(MessageTooLarge):
        groups.scribe(groups.hosts[0]).anycast(Id(b"g" * 20), bytes(ANYCAST_BODY_SIZE_MAX + 1), 1)
