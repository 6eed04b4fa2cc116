"""Base subjects (RFC 5256 2.1)."""

import pytest

from epost.servers.imap.subjects import base_subject


@pytest.mark.parametrize(
    ("subject", "base", "is_reply"),
    [
        ("Lunch", "LUNCH", False),
        ("  Re: \t lunch  ", "LUNCH", True),
        ("Fwd: Re: FW: lunch", "LUNCH", True),
        ("[list] Re[2]: lunch (fwd) (FWD)", "LUNCH", True),
        ("[list] lunch", "LUNCH", False),
        ("[list]", "[LIST]", False),
        ("[fwd: Re: lunch]", "LUNCH", True),
        ("Re:", "", True),
        ("Regarding: lunch", "REGARDING: LUNCH", False),
        ("ﬁn", "FIN", False),
    ],
)
def test_marks_of_replies_and_lists_are_taken_off(subject: str, base: str, is_reply: bool) -> None:
    found = base_subject(subject)
    assert (found.text, found.is_reply) == (base, is_reply)


def test_a_subject_of_brackets_is_done_quickly() -> None:
    assert base_subject("[a]" * 10_000).text
