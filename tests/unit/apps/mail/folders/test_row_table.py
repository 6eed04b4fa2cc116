"""Rows as columns, held against a dictionary of rows."""

from __future__ import annotations

from array import array
from random import Random

import pytest

from epost.apps.mail.folders.ascending import LOOKUPS_PER_PASS
from epost.apps.mail.folders.row_table import RowTable
from epost.apps.mail.index import MailFacts, PlacedMail, RowColumns
from epost.apps.mail.log.fold import FIRST, Number, Placement
from epost.apps.mail.mailbox import MailTime, MessageRow

FOLDER = b"f" * 16
SETS = (frozenset[str](), frozenset({"\\Seen"}), frozenset({"\\Seen", "$Later"}))


def placed(uid: int, modseq: int = 2) -> PlacedMail:
    name = uid.to_bytes(16, "big")
    sent = None if uid % 3 == 0 else MailTime(-uid, -90)
    facts = MailFacts(name[::-1], uid * 7, MailTime(uid * 1000, uid % 60), sent, uid + 100)
    placement = Placement(name, facts.email, FOLDER, number=Number(FOLDER, FIRST, uid))
    return PlacedMail(placement, modseq, facts)


def row(mail: PlacedMail, flags: int) -> MessageRow:
    facts = mail.facts
    return MessageRow(
        mail.placement.uid, mail.modseq, SETS[flags], facts.size, facts.date,
        facts.email.hex(), facts.sent,
    )  # fmt: skip


def table_of(*uids: int) -> RowTable:
    table = RowTable(SETS)
    table.extend(RowColumns.of([placed(uid) for uid in uids]), [uid % 3 for uid in uids])
    return table


def test_it_says_the_same_as_a_dictionary_whatever_is_done() -> None:
    rnd, table, model = Random(4), RowTable(SETS), dict[int, tuple[PlacedMail, int]]()
    for step in range(400):
        uid, flags = rnd.randrange(1, 120), rnd.randrange(3)
        if step % 5 == 4:
            gone = sorted(rnd.sample(sorted(model), min(3, len(model))))
            table.remove(gone)
            for each in gone:
                del model[each]
        else:
            model[uid] = placed(uid, modseq=step + 1), flags
            table.put(*model[uid])
    uids = sorted(model)
    assert list(table.uids) == uids
    assert table.rows(uids) == [row(*model[uid]) for uid in uids]
    assert table.positions(uids) == {uid: uid + 100 for uid in uids}
    for uid in uids:
        place = table.place(uid)
        assert place is not None
        assert table.name(place) == uid.to_bytes(16, "big")


@pytest.mark.parametrize(
    "wanted",
    [[], [5], [3, 4, 5, 6], [1, 50, 99], list(range(1, 100, 2)), [0, 7, 100, 250]],
    ids=["none", "one", "a run", "few", "many", "with some that are gone"],
)
def test_columns_say_what_rows_say(wanted: list[int]) -> None:
    table = table_of(*range(1, 101))
    columns, rows = table.columns(array("I", wanted)), table.rows(wanted)
    assert list(columns.uids) == [each.uid for each in rows]
    assert list(columns.modseqs) == [each.modseq for each in rows]
    assert [columns.flag_sets[flags] for flags in columns.flags] == [each.flags for each in rows]
    assert list(columns.sizes) == [each.size for each in rows]
    assert list(columns.internal_dates()) == [each.internal_date for each in rows]
    assert list(columns.email_ids()) == [each.email_id for each in rows]
    assert len(columns) == len(rows)


def test_positions_of_mails_that_stand_apart() -> None:
    table = table_of(*range(1, 10 * LOOKUPS_PER_PASS))
    assert table.positions([2, 9, 5000]) == {2: 102, 9: 109}


def test_what_ends_the_table_may_be_removed_and_added_again() -> None:
    table = table_of(1, 2, 3)
    table.remove([1, 3])
    assert list(table.uids) == [2]
    table.remove([2])
    assert not table.uids
    table.put(placed(9), 1)
    assert table.rows([9]) == [row(placed(9), 1)]


def test_more_sets_of_flags_than_fit_into_an_octet() -> None:
    sets = [frozenset({f"$k{number}"}) for number in range(300)]
    table = RowTable(sets)
    table.extend(RowColumns.of([placed(1), placed(2)]), [0, 255])
    table.put(placed(3), 256)
    table.change_flags([placed(1)], [299])
    assert [row.flags for row in table.rows([1, 2, 3])] == [sets[299], sets[255], sets[256]]
    columns = table.columns([1, 2, 3], facts=False)
    assert columns.whose_flags(lambda flags: "$k255" in flags) == b"\0\1\0"
    assert table.first_of(lambda flags: "$k255" in flags) == 2
    assert table.first_of(lambda flags: "$k999" in flags) is None
    assert not columns.sizes


def test_whose_flags_pass_a_test() -> None:
    columns = table_of(*range(1, 10)).columns(range(2, 8))
    assert columns.whose_flags(lambda flags: "\\Seen" in flags) == b"\1\0\1\1\0\1"


def test_the_first_whose_flags_pass_a_test() -> None:
    table = table_of(*range(4, 10))
    assert table.first_of(lambda flags: "$Later" in flags) == 5
    assert table.first_of(lambda flags: "$None" in flags) is None


def test_flags_of_many_change_and_nothing_else() -> None:
    table = table_of(*range(1, 8))
    before = table.rows(range(1, 8))
    table.change_flags([placed(2, modseq=9), placed(5, modseq=9)], [0, 1])
    expected = {each.uid: each for each in before}
    expected[2], expected[5] = row(placed(2, modseq=9), 0), row(placed(5, modseq=9), 1)
    assert table.rows(range(1, 8)) == list(expected.values())
