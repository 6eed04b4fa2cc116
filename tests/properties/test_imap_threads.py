"""Whatever messages claim to answer, every one of them is in exactly one thread."""

import re

from hypothesis import given
from hypothesis import strategies as st

from epost.servers.imap.subjects import base_subject
from epost.servers.imap.threads import Threadable, by_references, ordered_by_subject, spelled

IDS = st.sampled_from(["", "<a>", "<b>", "<c>", "<d>", "<e>"])
SUBJECTS = st.sampled_from(["", "x", "Re: x", "Re: y", "y", "[l] x (fwd)"])


@st.composite
def messages(draw: st.DrawFn) -> list[Threadable]:
    count = draw(st.integers(0, 12))
    return [
        Threadable(
            uid=uid,
            sent=draw(st.integers(0, 3)),
            subject=base_subject(draw(SUBJECTS)),
            message_id=draw(IDS),
            references=tuple(name for name in draw(st.lists(IDS, max_size=4)) if name),
        )
        for uid in range(1, count + 1)
    ]


@given(messages())
def test_every_message_is_in_one_thread(mails: list[Threadable]) -> None:
    shown = {mail.uid: mail.uid for mail in mails}
    for algorithm in (by_references, ordered_by_subject):
        line = b"".join(spelled(algorithm(mails), shown))
        assert sorted(map(int, re.findall(rb"[0-9]+", line))) == sorted(shown)
        assert line.count(b"(") == line.count(b")")
        assert not re.search(rb"\(\)|\( | \)|  ", line)


def test_a_thread_may_be_as_deep_as_the_folder() -> None:
    chain = [
        Threadable(uid, uid, base_subject(f"s{uid}"), f"<{uid}>", (f"<{uid - 1}>",))
        for uid in range(1, 20_000)
    ]
    line = b"".join(spelled(by_references(chain), {mail.uid: mail.uid for mail in chain}))
    assert line.startswith(b"(1 2 3 ")
