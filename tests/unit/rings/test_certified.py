"""What a member finds in the log of certificates: everything about her, nothing about others."""

from __future__ import annotations

from epost.rings.certified import (
    OwnKey,
    OwnKeys,
    is_for,
    second_keys,
    statement,
    subject_hash,
)

ALICE, BOB = b"alice@example.org", b"bob@example.org"
KEY, OTHER = b"k" * 32, b"o" * 32
OWN = {ALICE: OwnKeys((OwnKey(KEY),))}


def first_version(subject: bytes, key: bytes) -> bytes:
    return statement(subject, key)[32:]


def test_an_entry_is_of_one_subject_and_one_key() -> None:
    entry = statement(ALICE, KEY)
    assert entry.startswith(subject_hash(ALICE))
    assert is_for(entry, ALICE, KEY)
    assert is_for(first_version(ALICE, KEY), ALICE, KEY)
    assert not is_for(entry, ALICE, OTHER)
    assert not is_for(entry, BOB, KEY)


def test_a_second_key_for_ones_name_is_found_and_renewals_are_not() -> None:
    entries = [(1, statement(ALICE, KEY)), (2, statement(BOB, OTHER)), (3, statement(ALICE, KEY))]
    assert second_keys(entries, OWN) == []
    found = second_keys([*entries, (4, statement(ALICE, OTHER))], OWN)
    assert [sequence for sequence, _ in found] == [4]
    assert "not yours" in found[0][1]


def test_the_first_versions_entries_are_old_ones_only() -> None:
    old = [(1, first_version(ALICE, KEY)), (2, first_version(BOB, OTHER))]
    assert second_keys(old, OWN) == []
    new = (3, statement(BOB, KEY))
    ((sequence, text),) = second_keys([*old, new, (4, first_version(ALICE, OTHER))], OWN)
    assert sequence == 4
    assert "hides" in text


def test_what_a_name_was_certified_for_before_it_was_ones_own_is_no_alarm() -> None:
    entries = [(1, statement(ALICE, OTHER)), (2, statement(ALICE, KEY))]
    own = {ALICE: OwnKeys((OwnKey(KEY),), since=2)}
    assert second_keys(entries, own) == []
    ((sequence, _),) = second_keys([*entries, (3, statement(ALICE, OTHER))], own)
    assert sequence == 3


def test_a_former_key_is_none_of_hers_behind_the_one_that_followed_it() -> None:
    own = {ALICE: OwnKeys((OwnKey(KEY), OwnKey(OTHER, 1)))}
    entries = [(n, statement(ALICE, key)) for n, key in enumerate((KEY, KEY, OTHER, OTHER), 1)]
    assert second_keys(entries, own) == []
    ((sequence, text),) = second_keys([*entries, (5, statement(ALICE, KEY))], own)
    assert (sequence, "former key" in text) == (5, True)
    entered = {ALICE: OwnKeys((OwnKey(KEY), OwnKey(OTHER, 1, is_entered=True)))}
    ((sequence, _),) = second_keys([(7, statement(ALICE, KEY))], entered)
    assert sequence == 7, "also if that was at an earlier look"
