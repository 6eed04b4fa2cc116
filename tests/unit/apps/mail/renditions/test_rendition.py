"""Renditions: what is made of a mail once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from epost.apps.mail.mailbox import MailTime
from epost.apps.mail.ports import OFFLOAD_BYTES_MIN, in_the_loop
from epost.apps.mail.renditions import rendition as rendition_module
from epost.apps.mail.renditions.rendition import make_rendition, read_mail
from tests.support.corpus import mails
from tests.support.mail import simple_mail

T = TypeVar("T")


def test_a_mail_is_rendered_dated_and_made_searchable() -> None:
    rendition = make_rendition(simple_mail())
    assert b'"lunch"' in rendition.rendered.envelope
    assert rendition.sent == MailTime(1_704_106_800, 60)
    assert rendition.header is not None
    assert simple_mail() == rendition.header + b"At noon?\r\n"
    assert "subject: lunch\n" in rendition.header_text
    assert rendition.body_text == "at noon?\r\n"


def test_a_mail_without_date_has_none() -> None:
    assert make_rendition(b"").sent is None
    assert make_rendition(b"Date: yesterday\r\n\r\n").sent is None


def test_a_header_too_long_to_be_kept_is_left_in_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendition_module, "HEADER_BYTES_KEPT_MAX", 10)
    assert make_rendition(b"A: 5678\r\n\r\n").header is None
    assert make_rendition(b"A: 45\r\n\r\n").header is not None


def test_every_mail_of_the_corpus_has_a_rendition_that_can_be_kept() -> None:
    for _, octets in mails():
        structure, rendition = asyncio.run(read_mail(octets, in_the_loop))
        assert rendition == make_rendition(octets, structure)
        rendition.header_text.encode()
        rendition.body_text.encode()


@pytest.mark.parametrize(
    ("octets", "brings_files"),
    [
        (simple_mail(), False),
        (b"Content-Type: image/png\r\n\r\nx", False),
        (b"Content-Type: application/pdf\r\n\r\nx", True),
        (b"Content-Type: application/octet-stream; name=a.docx\r\n\r\nx", True),
    ],
)
def test_a_rendition_says_whether_files_are_still_to_be_read(
    octets: bytes, brings_files: bool
) -> None:
    assert make_rendition(octets).brings_files is brings_files


class Aside:
    """Counts what is done beside the loop."""

    def __init__(self) -> None:
        self.works = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        self.works += 1
        return work()


@pytest.mark.parametrize(
    ("octets", "works"),
    [
        (simple_mail(), 0),
        (b"Content-Type: image/png\r\n\r\n" + b"x" * 1000, 0),
        (simple_mail() + b"x" * OFFLOAD_BYTES_MIN, 1),
        (b"Content-Type: application/pdf\r\n\r\n" + b"x" * 1000, 0),
    ],
)
def test_what_takes_long_does_not_hold_the_loop(octets: bytes, works: int) -> None:
    offload = Aside()
    structure, rendition = asyncio.run(read_mail(octets, offload))
    assert rendition == make_rendition(octets, structure)
    assert offload.works == works
