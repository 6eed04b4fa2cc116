"""Mails come back to the octet: appended, sent, kept inline or in parts, after any restart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epost.apps.mail.delivery.notice import INLINE_BYTES_MAX
from epost.apps.mail.mailbox import NewMail
from epost.apps.mail.mime.structure import parse_structure
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.corpus import mails
from tests.support.mail import ALICE, BOB, living, organisation, simple_mail

HEADER = b"From: al@example.org\r\nTo: bob@example.org\r\n"

ODD = {
    "empty": b"",
    "nul": b"a\0b\r\n\0",
    "bare line feeds": b"Subject: x\n\nbody\nwith\nlines",
    "8 bit": "Grüße".encode("latin-1") + bytes(range(256)) * 100,
    "no header": b"\r\nbody",
    "one endless line": b"x" * 300_000,
    "a header longer than any that is kept": b"x" * 1_200_000,
    "only a boundary": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b",
    "at the limit for inline": b"y" * INLINE_BYTES_MAX,
    "one octet more": b"y" * (INLINE_BYTES_MAX + 1),
}

pieces = st.tuples(st.binary(max_size=100), st.sampled_from([1, 2000]))
"""Octets, and how often they are repeated."""


async def appended(octets: Sequence[bytes]) -> list[bytes]:
    """Append mails, lose the index, and read them back."""
    (alice,) = organisation(ALICE)
    async with living(alice):
        drafts = await alice.mail.mailbox.open("Drafts")
        await drafts.append([NewMail(mail) for mail in octets])
        before = [await drafts.octets(uid) for uid in drafts.uids()]
        await alice.restart(SimulatedMailIndex())
        drafts = await alice.mail.mailbox.open("Drafts")
        after = [await drafts.octets(uid) for uid in drafts.uids()]
        headers = await drafts.headers(drafts.uids())
        assert list(headers.values()) == [parse_structure(m).header.cut(m) for m in octets]
        assert await drafts.rendered(drafts.uids())
    assert before == after
    return after


async def sent(octets: Sequence[bytes]) -> list[bytes]:
    """Send mails from Alice to Bob and read his inbox."""
    alice, bob = organisation(ALICE, BOB)
    async with living(alice, bob):
        for mail in octets:
            await alice.submit(mail, "bob@example.org")
        inbox = await bob.mail.mailbox.open("INBOX")
        return [await inbox.octets(uid) for uid in inbox.uids()]


@pytest.mark.parametrize("name", ODD)
def test_odd_mails_come_back_exactly(name: str) -> None:
    assert run(appended([ODD[name]])) == [ODD[name]]


@given(st.lists(pieces, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_appended_octets_come_back_exactly(mails_in_pieces: list[tuple[bytes, int]]) -> None:
    octets = [piece * times for piece, times in mails_in_pieces]
    assert run(appended(octets)) == octets


@given(st.lists(pieces, min_size=1, max_size=2))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sent_octets_arrive_exactly(bodies: list[tuple[bytes, int]]) -> None:
    octets = [HEADER + b"\r\n" + piece * times for piece, times in bodies]
    assert run(sent(octets)) == octets


def test_mails_of_the_corpus_come_back_exactly() -> None:
    octets = [octets for _, octets in mails()][::2]
    assert run(appended(octets)) == octets


def test_a_mail_of_thirty_megabytes_arrives_exactly() -> None:
    big = HEADER + b"\r\n" + bytes(range(1, 256)) * (30 * 2**20 // 255)
    assert run(sent([big, simple_mail()])) == [big, simple_mail()]
