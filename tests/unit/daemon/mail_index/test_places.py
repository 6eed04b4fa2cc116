"""Rows of folders: read side by side where mails came one after the other, and all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from epost.apps.mail.index import Batch, IndexState, MailFacts, PlacedMail
from epost.apps.mail.log.fold import FIRST, Number, Placement
from epost.apps.mail.log.records import Inline
from epost.apps.mail.mailbox import MailTime
from epost.daemon.mail_index import index as mail_index
from epost.daemon.mail_index.index import SqliteMailIndex

KEY = b"k" * 32
FOLDER, OTHER = b"f" * 16, b"o" * 16


def name(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()[:16]


def facts(number: int) -> MailFacts:
    return MailFacts(name(number), number, MailTime(number), position=number)


def placed(number: int, uid: int, folder: bytes = FOLDER) -> Placement:
    return Placement(name(number), name(number), folder, number=Number(folder, FIRST, uid))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SqliteMailIndex]:
    opened = SqliteMailIndex(tmp_path / "mail.db", KEY)
    yield opened
    opened.close()


def enter(index: SqliteMailIndex, mails: Sequence[int], places: Sequence[Placement]) -> None:
    batch = Batch(IndexState(b"i" * 16, 0))
    batch.mails += ((facts(number), Inline(b"x")) for number in mails)
    batch.placements += ((placement, 2) for placement in places)
    index.commit(batch)


def by_slices(index: SqliteMailIndex, limit: int) -> list[PlacedMail]:
    found: list[PlacedMail] = []
    while some := index.folder_rows(FOLDER, found[-1].placement.uid if found else 0, limit):
        found += some
    return found


@pytest.mark.parametrize("others", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_every_row_is_found_however_many_mails_of_other_folders_lie_between(
    index: SqliteMailIndex, others: int, limit: int
) -> None:
    step, count = others + 1, 20
    numbers = range(1, 1 + step * count)
    places = [placed(n, n, FOLDER if n % step == 0 else OTHER) for n in numbers]
    enter(index, numbers, places)
    ours = [placement for placement in places if placement.folder == FOLDER]
    assert by_slices(index, limit) == [PlacedMail(p, 2, facts(p.uid)) for p in ours]


def test_rows_come_by_uid_whatever_the_order_in_which_the_mails_came(
    index: SqliteMailIndex,
) -> None:
    mails = [5, 3, 9, 1]
    enter(index, range(1, 10), [placed(number, uid) for uid, number in enumerate(mails, 1)])
    copy = Placement(b"c" * 16, name(3), FOLDER, number=Number(FOLDER, FIRST, 5))
    enter(index, (), [copy])
    found = index.folder_rows(FOLDER, 0, 100)
    assert [row.facts.position for row in found] == [*mails, 3]
    assert [row.placement.uid for row in found] == [1, 2, 3, 4, 5]


def test_a_place_whose_mail_is_not_known_yet_keeps_no_other_from_being_found(
    index: SqliteMailIndex,
) -> None:
    enter(index, [1, 3, 5], [placed(number, number) for number in range(1, 6)])
    assert [row.placement.uid for row in index.folder_rows(FOLDER, 0, 2)] == [1, 3]
    assert [row.placement.uid for row in index.folder_rows(FOLDER, 3, 2)] == [5]


def test_a_large_folder_is_read_without_a_page_for_each_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_index, "CACHE_KIBIBYTES", 64)
    index, mails = SqliteMailIndex(tmp_path / "mail.db", KEY), range(1, 5001)
    enter(index, mails, [placed(number, number) for number in mails])
    before, _ = index._db.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)
    assert len(by_slices(index, 500)) == len(mails)
    read, _ = index._db.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)
    index.close()
    assert read - before < len(mails) / 4
