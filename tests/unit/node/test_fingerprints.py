"""Fingerprints of ranges: equal exactly where the same is held, whatever the way there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from epost.foundation.ids import BlockKind, Handle, Id, point
from epost.foundation.ports import DeleteBlock, PutBlock, Role, SetRoles, VaultEntry, Write
from epost.node.fingerprints import LEAF_ROWS_MAX, Fingerprints, fingerprint_of
from epost.simulation.contents import Contents

RANDOM = Random(7)


def entry_at(n: int, *, near: bool = False) -> VaultEntry:
    digest = hashlib.sha256(b"%d" % n).digest()
    if near:  # places that share their first ten octets
        digest = bytes(10) + digest[10:]
    handle = Handle(BlockKind(1 + n % 4), digest)
    return VaultEntry(handle, 1, Role.REPLICA, version=n % 3, body_hash=digest[::-1])


class Counted:
    """An index with its fingerprints, as a vault keeps them."""

    def __init__(self, contents: Contents | None = None) -> None:
        self.contents = contents or Contents()
        self.tree = Fingerprints(self._rows)

    def write(self, write: Write, handle: Handle) -> None:
        before = self.contents.entry(handle)
        self.contents.apply([write])
        self.tree.replace(before, self.contents.entry(handle))

    def put(self, entry: VaultEntry) -> None:
        self.write(PutBlock(entry, b"x"), entry.handle)

    def assert_right(self, start: Id, end: Id) -> None:
        rows = [e for e in self.contents.walk(start, end, None) if e.roles & Role.REPLICA]
        assert self.tree.between(start, end) == fingerprint_of(rows)

    def _rows(self, start: Id, end: Id, after: Handle | None, limit: int) -> list[VaultEntry]:
        return list(islice(self.contents.walk(start, end, after), limit))


def some_arcs(random: Random) -> list[tuple[Id, Id]]:
    drawn = [(point(random.getrandbits(160)), point(random.getrandbits(160))) for _ in range(20)]
    near = [(point(random.getrandbits(75)), point(random.getrandbits(79))) for _ in range(10)]
    return [*drawn, *near, (point(0), point(0)), (point(-1), point(-1)), (point(5), point(4))]


@pytest.mark.parametrize("near", [False, True], ids=["spread", "crowded"])
def test_every_range_has_the_fingerprint_of_what_is_in_it_after_any_writes(near: bool) -> None:
    random, counted = Random(3), Counted()
    counted.tree.count_more(1)
    asked_again = some_arcs(random)
    for step in range(1500):
        entry = entry_at(random.randrange(600), near=near)
        match random.randrange(5):
            case 0:
                counted.write(DeleteBlock(entry.handle), entry.handle)
            case 1:
                counted.write(SetRoles(entry.handle, add=Role.MIRROR), entry.handle)
            case 2:
                gone = SetRoles(entry.handle, remove=Role.REPLICA)
                counted.write(gone, entry.handle)
            case _:
                counted.put(replace(entry, version=step))
        if step % 300 == 299:
            for start, end in (*some_arcs(random), *asked_again):
                counted.assert_right(start, end)


def test_what_was_there_before_is_counted_in_slices_while_writes_go_on() -> None:
    random, contents = Random(4), Contents()
    contents.apply([PutBlock(entry_at(n), b"x") for n in range(500)])
    counted = Counted(contents)
    while not counted.tree.is_whole:
        assert counted.tree.between(point(0), point(0)) is None
        counted.tree.count_more(37)
        counted.put(replace(entry_at(random.randrange(700)), version=9))
        gone = entry_at(random.randrange(700)).handle
        counted.write(DeleteBlock(gone), gone)
    for start, end in some_arcs(random):
        counted.assert_right(start, end)


def test_counting_reads_each_row_a_few_times_and_no_slice_reads_all() -> None:
    contents = Contents()
    contents.apply([PutBlock(entry_at(n), b"x") for n in range(4000)])
    read = [0]

    def rows(start: Id, end: Id, after: Handle | None, limit: int) -> list[VaultEntry]:
        found = list(islice(contents.walk(start, end, after), limit))
        read[-1] += len(found)
        return found

    tree = Fingerprints(rows)
    while not tree.is_whole:
        tree.count_more(100)
        read.append(0)
    assert sum(read) < 4 * 4000
    assert max(read) < 10 * 100


def test_a_version_a_mark_a_kind_and_a_handle_each_change_the_fingerprint() -> None:
    entry = entry_at(1)
    other = Handle(BlockKind.CERTIFICATE, entry.handle.digest)
    changed = [
        replace(entry, version=2),
        replace(entry, body_hash=b"other"),
        replace(entry, handle=other),
        entry_at(2),
    ]
    digests = {fingerprint_of([each]).digest for each in (entry, *changed)}
    assert len(digests) == 1 + len(changed)
    assert fingerprint_of([]) != fingerprint_of([entry])


def test_a_question_reads_no_more_rows_than_two_leaves_have() -> None:
    contents = Contents()
    contents.apply([PutBlock(entry_at(n), b"x") for n in range(5000)])
    read = 0

    def rows(start: Id, end: Id, after: Handle | None, limit: int) -> list[VaultEntry]:
        nonlocal read
        found = list(islice(contents.walk(start, end, after), limit))
        read += len(found)
        return found

    tree = Fingerprints(rows)
    while not tree.is_whole:
        tree.count_more(1000)
    read = 0
    tree.between(point(1 << 150), point(1 << 159))
    assert 0 < read <= 2 * LEAF_ROWS_MAX
    read = 0
    tree.between(point(1 << 150), point(1 << 159))
    assert read == 0, "nothing has changed"
