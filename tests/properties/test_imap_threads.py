"""Whatever messages claim to answer, every one of them is in exactly one thread."""

import re
import tracemalloc
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from epost.servers.imap.subjects import base_subject
from epost.servers.imap.threadables import Threadables
from epost.servers.imap.threads import by_references, ordered_by_subject, spelled

IDS = st.sampled_from(["", "<a>", "<b>", "<c>", "<d>", "<e>"])
SUBJECTS = st.sampled_from(["", "x", "Re: x", "Re: y", "y", "[l] x (fwd)"])
OCTETS_A_MESSAGE_MAX = 400
"""It was a kilobyte when messages were objects."""


@st.composite
def messages(draw: st.DrawFn) -> Threadables:
    table = Threadables()
    for uid in range(1, draw(st.integers(0, 12)) + 1):
        sent, subject = draw(st.integers(0, 3)), base_subject(draw(SUBJECTS))
        references = [name for name in draw(st.lists(IDS, max_size=4)) if name]
        table.add(uid, sent, subject, draw(IDS), references)
    return table


def in_threads(mails: Sequence[tuple[int, str, str, str]]) -> bytes:
    """REFERENCES of mails: when they were sent, subjects, ids, and what they name."""
    table = Threadables()
    for uid, (sent, subject, name, references) in enumerate(mails, 1):
        table.add(uid, sent, base_subject(subject), name, references.split())
    return spelled(by_references(table), table.uids)


def chain(length: int) -> Threadables:
    table = Threadables()
    for uid in range(1, length + 1):
        table.add(uid, uid, base_subject(f"s{uid}"), f"<{uid}>", (f"<{uid - 1}>",))
    return table


@given(messages())
def test_every_message_is_in_one_thread(mails: Threadables) -> None:
    for algorithm in (by_references, ordered_by_subject):
        line = spelled(algorithm(mails), mails.uids)
        assert sorted(map(int, re.findall(rb"[0-9]+", line))) == list(mails.uids)
        assert line.count(b"(") == line.count(b")")
        assert not re.search(rb"\(\)|\( | \)|  ", line)


def test_answers_to_a_mail_that_is_not_here_stand_side_by_side() -> None:
    assert in_threads([(1, "a", "<1>", "<x>"), (2, "b", "<2>", "<x> <1>")]) == b"(1 2)"
    assert in_threads([(2, "a", "<1>", "<x>"), (1, "b", "<2>", "<x>")]) == b"((2)(1))"
    assert in_threads([(1, "a", "<1>", "<x> <y>")]) == b"(1)"


def test_whom_a_mail_answers_is_for_the_mail_itself_to_say() -> None:
    mails = [(1, "c", "<c>", "<a> <d>"), (2, "a", "<a>", "")]
    assert in_threads([*mails, (3, "d", "<d>", "<a>")]) == b"(2 3 1)"
    assert in_threads([*mails, (3, "d", "<d>", "")]) == b"(2)(3 1)"


def test_a_circle_of_answers_is_not_closed() -> None:
    assert in_threads([(1, "a", "<1>", "<2>"), (2, "b", "<2>", "<1>")]) == b"(2 1)"
    assert in_threads([(1, "a", "<1>", "<1>")]) == b"(1)"


def test_of_two_mails_with_one_id_the_first_is_answered() -> None:
    mails = [(1, "a", "<1>", ""), (2, "b", "<1>", ""), (3, "c", "<3>", "<1>")]
    assert in_threads(mails) == b"(1 3)(2)"


def test_threads_of_one_subject_become_one() -> None:
    first, other, reply = (1, "x", "<1>", ""), (2, "x", "<2>", ""), (3, "Re: x", "<3>", "")
    assert in_threads([first, reply]) == b"(1 2)"
    assert in_threads([first, other, reply]) == b"((1)(2)(3))"
    assert in_threads([reply, other]) == b"(2 1)"
    assert in_threads([(1, "", "<1>", ""), (2, "", "<2>", "")]) == b"(1)(2)"
    answers = [(4, "Re: x", "<4>", "<z>"), (5, "Re: x", "<5>", "<z>"), (6, "Re: x", "<6>", "<y>")]
    assert in_threads([*answers, (7, "Re: x", "<7>", "<y>"), first]) == b"((5)(1)(2)(3)(4))"


def test_a_thread_may_be_as_deep_as_the_folder() -> None:
    mails = chain(20_000)
    assert spelled(by_references(mails), mails.uids).startswith(b"(1 2 3 ")


def test_threads_of_very_many_messages_take_little_memory() -> None:
    count = 3_000
    tracemalloc.start()
    try:
        mails = chain(count)
        spelled(by_references(mails), mails.uids)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < OCTETS_A_MESSAGE_MAX * count
