"""The mail index on disk: what happens to files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from epost.apps.mail.index import Batch, IndexState, MailFacts, MailIndexDamaged, Rendition
from epost.apps.mail.log.fold import FIRST, INBOX_ID, Annotation, Number, Placement
from epost.apps.mail.log.records import Inline
from epost.apps.mail.mailbox import MailTime, Rendered
from epost.apps.mail.observed import MailIndexDiscarded
from epost.daemon.mail_index.index import CHECKPOINT_PAGES, SqliteMailIndex, open_mail_index
from epost.daemon.mail_index.schema import (
    CONTENTS,
    PLACES_OF,
    UNRENDERED,
)
from epost.foundation.errors import DiskFull
from tests.support.mail import Recorder

KEY = bytes(range(32))
STATE = IndexState(b"n" * 16, 7, applied=3)
WITH_UNSEEN = """
ALTER TABLE placement ADD COLUMN is_unseen INTEGER NOT NULL DEFAULT 1;
CREATE INDEX unseen ON placement (folder, uid) WHERE uid IS NOT NULL AND is_unseen;"""
WITHOUT_FILES = f"""{WITH_UNSEEN}
DROP TABLE unread_files;"""
AS_BEFORE = f"""{WITHOUT_FILES}
DROP INDEX by_email; CREATE INDEX by_email ON placement (email) WHERE email IS NOT NULL;"""
SECRET = b"a very private text"


def filled(path: Path) -> None:
    index = open_mail_index(path, KEY, Recorder())
    facts = MailFacts(b"e" * 16, len(SECRET), MailTime(1))
    index.commit(Batch(STATE, mails=[(facts, Inline(SECRET * 100))]))
    index.close()


def test_nothing_of_it_lies_on_disk_in_clear(tmp_path: Path) -> None:
    filled(tmp_path / "mail.db")
    for file in tmp_path.iterdir():
        octets = file.read_bytes()
        assert SECRET not in octets
        assert b"SQLite format" not in octets
        assert b"placement" not in octets


@pytest.mark.parametrize("harm", ["overwritten", "truncated", "other key", "marked", "version"])
def test_what_cannot_be_read_is_reported_and_made_anew(tmp_path: Path, harm: str) -> None:
    path, key = tmp_path / "mail.db", KEY
    filled(path)
    match harm:
        case "overwritten":
            path.write_bytes(b"\xff" * path.stat().st_size)
        case "truncated":
            path.write_bytes(path.read_bytes()[:100])
        case "other key":
            key = bytes(32)
        case "marked":
            (tmp_path / "mail.db.damaged").touch()
        case "version":
            index = SqliteMailIndex(path, key)
            index._db.pragma("user_version", 99)
            index.close()
    recorder = Recorder()
    index = open_mail_index(path, key, recorder)
    assert index.state() is None
    assert len(recorder.of(MailIndexDiscarded)) == 1
    index.commit(Batch(STATE))
    index.close()
    assert open_mail_index(path, key, recorder).state() == STATE
    assert len(recorder.events) == 1


def test_an_index_of_the_first_release_goes_on_and_reads_other_devices_logs_again(
    tmp_path: Path,
) -> None:
    path, recorder = tmp_path / "mail.db", Recorder()
    filled(path)
    former = SqliteMailIndex(path, KEY)
    read = IndexState(b"n" * 16, 7, applied=9, others=((2, 40),))
    former.commit(Batch(read))
    former._db.execute("DROP TABLE annotation")
    former._db.execute(AS_BEFORE)
    former._db.pragma("user_version", 3)
    former.close()
    index = open_mail_index(path, KEY, recorder)
    assert index.state() == IndexState(b"n" * 16, 7, applied=9)
    assert index.content(b"e" * 16) is not None
    note = Annotation(b"", "/private/comment", FIRST, (b"x",))
    index.commit(Batch(read, annotations=[note]))
    index.close()
    again = open_mail_index(path, KEY, recorder)
    assert again.state() == read
    assert list(again.annotations()) == [note]
    assert not recorder.events
    again.close()


def test_an_index_with_every_mail_by_name_goes_on_and_finds_the_copies(tmp_path: Path) -> None:
    path, recorder = tmp_path / "mail.db", Recorder()
    former = open_mail_index(path, KEY, recorder)
    facts = MailFacts(b"e" * 16, 5, MailTime(1), position=1)
    home = Placement(b"e" * 16, b"e" * 16, INBOX_ID)
    copy = Placement(b"c" * 16, b"e" * 16, INBOX_ID)
    former.commit(Batch(STATE, [(facts, Inline(b"x"))], placements=[(home, 2), (copy, 2)]))
    former._db.execute(AS_BEFORE)
    former._db.pragma("user_version", 4)
    former.close()
    index = open_mail_index(path, KEY, recorder)
    assert list(index.places_of([b"e" * 16])) == [b"e" * 16, b"c" * 16]
    assert index.contents_of_mails(9, in_folders=True) == [(1, Inline(b"x"))]
    assert index.state() == STATE
    assert not recorder.events
    index.close()


def test_an_index_without_the_text_of_files_goes_on_and_has_them_read(tmp_path: Path) -> None:
    path, recorder = tmp_path / "mail.db", Recorder()
    former = open_mail_index(path, KEY, recorder)
    bodies = {
        1: b'(("text" "plain" NIL NIL NIL "7bit" 1 1)("APPLICATION" "pdf" NIL NIL NIL "8bit" 1))',
        2: b'("text" "plain" NIL NIL NIL "7bit" 1 1)',
    }
    for number, body in bodies.items():
        email = number.to_bytes(16, "big")
        facts = MailFacts(email, 5, MailTime(1), position=number)
        rendition = Rendition(Rendered(b"()", body, body), b"", None, "", "")
        home = [(Placement(email, email, INBOX_ID), 2)]
        former.commit(Batch(STATE, [(facts, Inline(b"x"))], [(email, rendition)], placements=home))
    former._db.execute(WITHOUT_FILES)
    former._db.pragma("user_version", 5)
    former.close()
    index = open_mail_index(path, KEY, recorder)
    assert index.with_unread_files() == (1, (1).to_bytes(16, "big"))
    assert index.with_unread_files(1) is None
    assert not recorder.events
    index.close()


def test_an_index_with_unseen_mails_in_order_goes_on_without(tmp_path: Path) -> None:
    path, recorder = tmp_path / "mail.db", Recorder()
    former = open_mail_index(path, KEY, recorder)
    facts = MailFacts(b"e" * 16, 5, MailTime(1), position=1)
    home = Placement(b"e" * 16, b"e" * 16, INBOX_ID, number=Number(INBOX_ID, FIRST, 1))
    former.commit(Batch(STATE, [(facts, Inline(b"x"))], placements=[(home, 2)]))
    former._db.execute(WITH_UNSEEN)
    former._db.pragma("user_version", 6)
    former.close()
    index = open_mail_index(path, KEY, recorder)
    assert [row.placement for row in index.folder_rows(INBOX_ID, 0, 9)] == [home]
    index.commit(Batch(STATE, placements=[(home, 3)]))
    assert [row.modseq for row in index.folder_rows(INBOX_ID, 0, 9)] == [3]
    assert not recorder.events
    index.close()


def test_questions_about_names_read_no_whole_table(tmp_path: Path) -> None:
    index = SqliteMailIndex(tmp_path / "mail.db", KEY)
    for query in (PLACES_OF.format(names="?"), UNRENDERED, CONTENTS):
        values = (b"",) * (query.count("?") - 1)
        plan = index._db.execute(f"EXPLAIN QUERY PLAN {query}", (*values, 2)).fetchall()
        assert not [step for *_, step in plan if step.startswith("SCAN")]
    index.close()


def test_damage_met_while_running_is_remembered_until_the_next_start(tmp_path: Path) -> None:
    path, recorder = tmp_path / "mail.db", Recorder()
    index = open_mail_index(path, KEY, recorder)
    index._db.execute("DROP TABLE vanished")
    with pytest.raises(MailIndexDamaged):
        index.vanished(b"f" * 16, 0)
    index.close()
    again = open_mail_index(path, KEY, recorder)
    assert len(recorder.of(MailIndexDiscarded)) == 1
    assert not again.vanished(b"f" * 16, 0)


def test_a_transaction_that_fails_has_changed_nothing(tmp_path: Path) -> None:
    index = open_mail_index(tmp_path / "mail.db", KEY, Recorder())
    index.commit(Batch(STATE))
    index._db.pragma("max_page_count", index._db.pragma("page_count"))
    facts = MailFacts(b"e" * 16, 5, MailTime(1))
    full = Batch(IndexState(b"m" * 16, 8), mails=[(facts, Inline(bytes(16 * 1024)))])
    with pytest.raises(DiskFull):
        index.commit(full)
    assert index.state() == STATE
    assert not index.facts([b"e" * 16])


def test_the_write_ahead_log_is_folded_back_by_checkpoints(tmp_path: Path) -> None:
    index = open_mail_index(tmp_path / "mail.db", KEY, Recorder())
    for number in range(CHECKPOINT_PAGES // 8):
        facts = MailFacts(number.to_bytes(16, "big"), 5, MailTime(1), position=number)
        index.commit(Batch(STATE, mails=[(facts, Inline(bytes(10 * 4096)))]))
    index._checkpoints.close()
    with apsw.Connection(str(tmp_path / "mail.db")) as plain, pytest.raises(apsw.NotADBError):
        plain.execute("SELECT * FROM state").fetchall()
    assert (tmp_path / "mail.db").stat().st_size > 1_000_000
