"""The fold: joins that do not care in which order devices' records are read."""

from __future__ import annotations

import msgspec
import pytest

from epost.apps.mail.log import fold
from epost.apps.mail.log.fold import (
    DEFAULT_FOLDERS,
    INBOX_ID,
    FolderState,
    Number,
    Placement,
    shown_names,
)
from epost.apps.mail.log.records import FIRST, CreateFolder, RenameFolder, Stamp, Subscribe

MAIL, WORK, TRASH = b"m" * 16, b"w" * 16, b"t" * 16
NEW = Placement(MAIL)


def at(lamport: int, device: int = 1) -> Stamp:
    return Stamp(lamport, device)


def test_a_mail_is_alive_from_its_insertion_until_it_is_expunged() -> None:
    assert not NEW.is_alive
    here = fold.arrived(NEW, MAIL, INBOX_ID, ())
    assert here.is_alive
    assert not fold.expunged(here).is_alive


def test_expunging_wins_before_and_after() -> None:
    assert not fold.arrived(fold.expunged(NEW), MAIL, INBOX_ID, ()).is_alive
    assert not fold.moved(fold.expunged(NEW), WORK, at(99)).is_alive


def test_a_second_insertion_of_a_notice_does_not_bring_a_mail_back_to_the_inbox() -> None:
    moved = fold.moved(fold.arrived(NEW, MAIL, INBOX_ID, ()), WORK, at(1))
    assert fold.arrived(moved, MAIL, INBOX_ID, ()) == moved


@pytest.mark.parametrize(
    ("first", "second"), [(at(3), at(4)), (at(3, 1), at(3, 2)), (at(4), at(3))]
)
def test_the_later_move_wins_in_either_order(first: Stamp, second: Stamp) -> None:
    one = fold.moved(fold.moved(NEW, WORK, first), TRASH, second)
    other = fold.moved(fold.moved(NEW, TRASH, second), WORK, first)
    assert one == other
    assert one.folder == (TRASH if second > first else WORK)


def test_moves_at_the_same_instant_end_in_one_place_all_the_same() -> None:
    one = fold.moved(fold.moved(NEW, WORK, at(3)), TRASH, at(3))
    assert one == fold.moved(fold.moved(NEW, TRASH, at(3)), WORK, at(3))


def test_for_each_flag_the_latest_change_counts() -> None:
    on = fold.changed_flags(NEW, at(2), ("\\Seen", "$Work"), ())
    off = fold.changed_flags(on, at(3), (), ("\\Seen",))
    assert off.set_flags == {"$Work"}
    assert fold.changed_flags(off, at(1), ("\\Seen",), ("$Work",)) == off


def test_at_one_instant_on_wins_over_off() -> None:
    on_off = fold.changed_flags(fold.changed_flags(NEW, at(2), ("a",), ()), at(2), (), ("a",))
    off_on = fold.changed_flags(fold.changed_flags(NEW, at(2), (), ("a",)), at(2), ("a",), ())
    assert on_off == off_on
    assert on_off.set_flags == {"a"}


def test_keywords_are_equal_without_case() -> None:
    on = fold.changed_flags(NEW, at(2), ("$Work",), ())
    assert fold.changed_flags(on, at(3), (), ("$WORK",)).set_flags == frozenset()


def test_flags_of_the_insertion_are_older_than_any_change() -> None:
    changed = fold.changed_flags(NEW, at(1), (), ("\\Seen",))
    assert fold.arrived(changed, MAIL, INBOX_ID, ("\\Seen",)).set_flags == frozenset()


def test_nothing_new_leaves_the_very_same_value() -> None:
    here = fold.arrived(NEW, MAIL, INBOX_ID, ("\\Seen",))
    assert fold.changed_flags(here, FIRST, ("\\Seen",), ()) is here
    assert fold.moved(here, INBOX_ID, FIRST) is here


def test_a_number_counts_for_the_stay_it_was_given_for() -> None:
    here = fold.arrived(NEW, MAIL, INBOX_ID, ())
    numbered = fold.numbered(here, Number(INBOX_ID, FIRST, 7))
    assert numbered.uid == 7
    assert fold.moved(numbered, WORK, at(1)).uid == 0
    assert fold.expunged(numbered).uid == 0
    assert fold.numbered(NEW, Number(INBOX_ID, FIRST, 7)).uid == 0, "nothing is known of it"


def test_a_mail_that_comes_back_needs_a_new_number() -> None:
    here = fold.numbered(fold.arrived(NEW, MAIL, INBOX_ID, ()), Number(INBOX_ID, FIRST, 7))
    back = fold.moved(fold.moved(here, WORK, at(1)), INBOX_ID, at(2))
    assert back.uid == 0


def test_a_folder_has_its_latest_name_in_either_order() -> None:
    create = CreateFolder(at(1), WORK, "Work", "\\Archive")
    rename = RenameFolder(at(2), WORK, "Labour")
    one = fold.renamed(fold.created(FolderState(WORK), create), rename)
    assert one == fold.created(fold.renamed(FolderState(WORK), rename), create)
    assert (one.name, one.special_use) == ("Labour", "\\Archive")
    assert fold.deleted(one).is_deleted


def test_the_latest_subscription_counts_in_either_order() -> None:
    on, off = Subscribe(at(1), "Work", True), Subscribe(at(2), "Work", False)
    one = fold.subscribed(fold.subscribed(None, on), off)
    assert one == fold.subscribed(fold.subscribed(None, off), on)
    assert not one.is_subscribed


def test_folders_show_by_name_with_inbox_first() -> None:
    assert list(shown_names(DEFAULT_FOLDERS)) == [
        *("INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash")
    ]


def test_of_two_folders_of_one_name_both_show_and_the_earlier_keeps_it() -> None:
    early = FolderState(WORK, "Work", at(1))
    late = FolderState(TRASH, "Work", at(2))
    expected = {"Work": WORK, f"Work {TRASH.hex()}": TRASH}
    assert shown_names([early, late]) == shown_names([late, early]) == expected


def test_nothing_but_the_inbox_is_called_so() -> None:
    pretender = FolderState(WORK, "Inbox", FIRST)
    assert shown_names([*DEFAULT_FOLDERS, pretender])["INBOX"] == INBOX_ID
    assert f"Inbox {WORK.hex()}" in shown_names([*DEFAULT_FOLDERS, pretender])


def test_states_survive_the_index() -> None:
    here = fold.numbered(fold.arrived(NEW, MAIL, INBOX_ID, ("$x",)), Number(INBOX_ID, FIRST, 7))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(here), type=Placement) == here
