"""A snapshot stands for the records it covers: folding it and the rest is folding the whole log."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epost.apps.mail.log import summary as log_summary
from epost.apps.mail.log.records import Inline, Insert, Logged, Record, encode_record
from epost.apps.mail.log.snapshot_rows import MAIL_PAGE, MailPage
from epost.apps.mail.log.summary import LogSummary
from epost.post.logs.snapshot_format import Page
from tests.properties.test_mail_fold import (
    MAILS,
    NUMBERED,
    THEM,
    US,
    Device,
    histories,
    interleaved,
    orders,
)

INCARNATION = b"n" * 16
CLUSTER = b"c" * 32
cuts = st.lists(st.integers(0, 30), max_size=4)
"""After how many records of a log a snapshot of it is made."""


def begun(pages: Sequence[Page] = ()) -> LogSummary:
    summary = LogSummary(INCARNATION, 0, lambda signed: signed)
    for page in pages:
        summary.load(page)
    return summary


def snapshot_after(log: Sequence[Record], cut_at: Sequence[int]) -> tuple[int, list[Page]]:
    """Make snapshots of a log, each from the one before; return what the last one covers."""
    covered, pages = 0, list[Page]()
    for cut in sorted(min(cut, len(log)) for cut in cut_at):
        summary = begun(pages)
        for number, record in enumerate(log[covered:cut], covered + 1):
            summary.add(number, CLUSTER, encode_record(record))
        covered, pages = cut, list(summary.pages())
    return covered, pages


def take(device: Device, writer: int, pages: Sequence[Page]) -> None:
    """Have a device take a snapshot of the log of `writer`."""
    for page in pages:
        content: MailPage = MAIL_PAGE.decode(page.content)
        with device.slice_of(0) as folding:
            folding.join(content, is_own=writer == US)


def require_equal(one: Device, other: Device) -> None:
    assert one.places() == other.places()
    assert one.folder_states() == other.folder_states()
    assert {s.name: s for s in one.index.subscriptions()} == {
        s.name: s for s in other.index.subscriptions()
    }
    assert one.annotations() == other.annotations()
    assert one.facts() == other.facts()
    assert one.state.lamport == other.state.lamport


@given(histories, orders, cuts, cuts)
@settings(max_examples=150, deadline=None)
def test_snapshots_of_both_logs_and_the_rest_give_the_folders_of_the_whole(
    logs: tuple[list[Record], list[Record]],
    order: list[bool],
    our_cuts: list[int],
    their_cuts: list[int],
) -> None:
    whole, summed = Device(), Device()
    for entry in interleaved(*logs, order):
        whole.read(entry)
    (ours, our_pages), (theirs, their_pages) = (
        snapshot_after(logs[0], our_cuts),
        snapshot_after(logs[1], their_cuts),
    )
    take(summed, THEM, their_pages)
    for record in logs[0][:ours][:2]:  # what was read already does no harm
        summed.read((US, record))
    take(summed, US, our_pages)
    for entry in interleaved(logs[0][ours:], logs[1][theirs:], order):
        summed.read(entry)
    require_equal(whole, summed)
    for email in MAILS:
        held, kept = whole.index.content(email), summed.index.content(email)
        if isinstance(kept, Logged):
            # The record that is named brings a mail of that name: here all are of their octets.
            found = {log[kept.sequence - 1] for log in logs if len(log) >= kept.sequence}
            inserts = [r for r in found if isinstance(r, Insert) and r.email == email]
            assert held in [r.content for r in inserts]
        else:
            assert kept == held


@given(histories, cuts)
@settings(max_examples=120, deadline=None)
def test_the_own_snapshot_brings_back_every_uid(
    logs: tuple[list[Record], list[Record]], our_cuts: list[int]
) -> None:
    whole, summed = Device(), Device()
    log = [*NUMBERED]
    whole.read(*((US, record) for record in NUMBERED))
    for writer, record in interleaved(*logs, [True, False] * 8):
        if writer == THEM:
            whole.read((THEM, record))
        elif whole.can_do(record):
            log.append(record)
            whole.read((US, record))
        adoption = whole.adoption()
        log += adoption
        whole.read(*((US, adopted) for adopted in adoption))
    covered, pages = snapshot_after(log, our_cuts)
    folded = begun()
    for number, record in enumerate(log[:covered], 1):
        folded.add(number, CLUSTER, encode_record(record))
    if covered:
        assert list(folded.said()) == list(begun(pages).said())
    take(summed, US, pages)
    for entry in interleaved(log[covered:], logs[1], [True] * 40):
        summed.read(entry)
    assert summed.shown() == whole.shown()
    assert summed.sums() == whole.sums()
    next_uids = {name: (row.uid_validity, row.uid_next) for name, row in whole.folders.items()}
    assert next_uids == {n: (r.uid_validity, r.uid_next) for n, r in summed.folders.items()}


@given(histories, cuts, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_pages_of_any_size_say_the_same_and_stay_as_they_are(
    logs: tuple[list[Record], list[Record]], our_cuts: list[int], rows_per_page: int
) -> None:
    whole, summed = Device(), Device()
    for record in logs[0]:
        whole.read((THEM, record))
    with patch.object(log_summary, "ROWS_PER_PAGE", rows_per_page):
        _, pages = snapshot_after(logs[0], [*our_cuts, len(logs[0])])
        assert list(begun(pages).pages()) == pages, "nothing happened: every page is as it was"
        _, at_once = snapshot_after(logs[0], [len(logs[0])])
        assert list(begun(pages).said()) == list(begun(at_once).said()), "however it was made"
        folded = begun()
        for number, record in enumerate(logs[0], 1):
            folded.add(number, CLUSTER, encode_record(record))
        assert list(folded.said()) == list(begun(pages).said())
    take(summed, THEM, pages)
    require_equal(whole, summed)


def test_a_page_too_large_for_a_block_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_summary, "PAGE_BYTES_MAX", 400)
    summary = begun()
    for number in range(1, 41):
        email = b"mail %010d " % number
        insert = Insert(email, b"folder-a" * 2, (), 1, 0, 3, Inline(b"abc"))
        summary.add(number, CLUSTER, encode_record(insert))
    pages = [page for page in summary.pages() if page.group == b"folder-a" * 2]
    assert len(pages) > 8
    assert all(2 * len(page.content) <= 400 for page in pages)
    assert begun(pages).rows == 40
