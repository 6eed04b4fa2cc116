"""What a snapshot needs in memory while it is made: a log of a million mails must have one too."""

from __future__ import annotations

import tracemalloc

from epost.apps.mail.log.records import Inline, Insert, UidValidity, encode_record
from epost.apps.mail.log.summary import LogSummary
from epost.apps.mail.mailbox import SEEN

FOLDER = b"f" * 16
MAILS = 2_000
OCTETS_EACH_MAX = 720
"""Twice what it takes; a place, its mail and their names as values take 920."""


def insertion(number: int) -> bytes:
    email = number.to_bytes(16, "big")
    flags = (SEEN,) if number % 2 else ()
    date = 1_700_000_000 + number
    return encode_record(Insert(email, FOLDER, flags, date, 60, 600, Inline(b"octets")))


def test_a_summary_takes_little_more_memory_than_its_pages() -> None:
    records = [insertion(number) for number in range(MAILS)]
    summary = LogSummary(bytes(16), 0, lambda signed: signed)
    summary.add(1, bytes(32), encode_record(UidValidity(FOLDER, 1)))
    tracemalloc.start()
    try:
        for sequence, record in enumerate(records, 2):
            summary.add(sequence, sequence.to_bytes(32, "big"), record)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert summary.rows == MAILS
    assert taken < MAILS * OCTETS_EACH_MAX
