"""Snapshots of logs: made, shared, found, and refused when they are not what the log announces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from epost.crypto.signing import Kind
from epost.crypto.versioned import key_block_handle, make_key_block, open_key_block
from epost.foundation.codec import encode
from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import BlockKind, Handle
from epost.past.log_format import HeadContent, head_of
from epost.post.app_ids import AppId
from epost.post.inspection import Finding, Inspection, Problem
from epost.post.logs.entries import Entry, Origin
from epost.post.logs.snapshot_finding import Snapshot
from epost.post.logs.snapshot_format import (
    Announced,
    HeadNote,
    Page,
    PageGroup,
    SnapshotPage,
    SnapshotRoot,
    announcement,
    read_head_note,
    seal_head_note,
)
from epost.post.logs.snapshots import GROWTH_IN_BULK
from epost.post.observed import SnapshotFailed, SnapshotMade, SnapshotRead, SnapshotRefused
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.clock import run
from tests.support.post_world import Crash, Machine, World, settle
from tests.unit.post.test_account_reach import whole_account

ROWS_PER_PAGE = 64
GROWN = 600
"""More than a reader would rather read record by record."""


@dataclass
class Words:
    """The fold of a log of words: which there are, by first letter; a page holds a few."""

    words: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.words)

    def load(self, page: Page) -> None:
        for line in page.content.decode().split():
            if line.count(",") != 2:
                raise MalformedPacket("no line of words")
            word, cluster, sequence = line.split(",")
            self.words[word] = bytes.fromhex(cluster), int(sequence)

    def add(self, sequence: int, cluster: bytes, payload: bytes) -> None:
        self.words.setdefault(payload.decode(), (cluster, sequence))

    def pages(self) -> Iterator[Page]:
        for letter in sorted({word[0] for word in self.words}):
            lines = [f"{w},{c.hex()},{n}" for w, (c, n) in self.words.items() if w[0] == letter]
            for start in range(0, len(lines), ROWS_PER_PAGE):
                content = " ".join(lines[start : start + ROWS_PER_PAGE]).encode()
                yield Page(letter.encode(), content)

    def said(self) -> Iterator[bytes]:
        for word, (cluster, sequence) in sorted(self.words.items()):
            yield f"{word},{cluster.hex()},{sequence}".encode()


@dataclass
class Reader:
    """An application that follows the other devices by snapshots and records."""

    seen: Words = field(default_factory=Words)
    records: int = 0
    reached: dict[int, int] = field(default_factory=dict)

    def read_to(self, device: int) -> int:
        return self.reached.get(device, 0)

    async def take(self, origin: Origin, after: int, entries: Sequence[tuple[int, Entry]]) -> None:
        assert after == self.read_to(origin.device)
        self.records += len(entries)
        self.reached[origin.device] = entries[-1][0]
        for number, entry in entries:
            if entry.app == AppId.MAIL:
                self.seen.add(number, b"", entry.payload)

    async def take_snapshot(self, origin: Origin, after: int, snapshot: Snapshot) -> None:
        assert after == self.read_to(origin.device)
        async for page in snapshot.pages():
            self.seen.load(page)
        self.reached[origin.device] = snapshot.covered


async def start(machine: Machine) -> Reader:
    post = await machine.start()
    reader = Reader()
    post.snapshots.register(AppId.MAIL, Words)
    post.siblings.take_snapshots(AppId.MAIL, reader)
    post.siblings.register(AppId.MAIL, reader)
    return reader


async def write(machine: Machine, words: Sequence[str]) -> None:
    assert machine.post is not None
    for start_at in range(0, len(words), 100):
        some = words[start_at : start_at + 100]
        await machine.post.log.append([Entry(int(AppId.MAIL), word.encode()) for word in some])


def numbered(count: int, prefix: str = "a", first: int = 0) -> list[str]:
    return [f"{prefix}{number}" for number in range(first, first + count)]


def world_of_snapshots(**config: Any) -> World:
    return World(snapshot_records_min=100, snapshot_check_seconds=1.0, **config)


async def grown_machine(world: World) -> Machine:
    """Return alice's machine with a log of so many words that there is a snapshot."""
    alice = world.enrol("alice")
    await start(alice)
    await write(alice, numbered(GROWN))
    await settle(10)
    return alice


async def read_anew(world: World, machine: Machine) -> tuple[Machine, Reader]:
    """Return one more machine of the account, and what it has read of the log."""
    second = await world.recover(machine, revoke=False)
    reader = await start(second)
    await settle(30)
    return second, reader


def note_of(machine: Machine) -> HeadNote:
    """Return what the newest head in the ring tells of the machine's snapshots."""
    assert machine.post is not None
    block = machine.world.ring.blocks[key_block_handle(machine.post.log.archive.log_key)].block
    note = read_head_note(head_of(open_key_block(block)), machine.device)
    assert note is not None
    return note


async def root_of(machine: Machine, note: HeadNote) -> SnapshotRoot:
    assert machine.post is not None
    data = await machine.post.services.messages.fetch(note.announced.root)
    return msgspec.msgpack.decode(data, type=SnapshotRoot)


def page_references(root: SnapshotRoot) -> list[Reference]:
    return [page for group in root.groups for page in group.pages]


def test_a_log_that_is_being_filled_is_summed_up_when_it_rests_or_has_grown_far() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = world.enrol("alice")
        await start(alice)
        made: list[int] = []
        for _ in range(4 * GROWTH_IN_BULK // 100):
            await write(alice, numbered(GROWTH_IN_BULK))
            await settle(1)
            made.append(len(alice.observer.of(SnapshotMade)))
        in_bulk = made[-1]
        await settle(10)
        assert 0 < in_bulk <= len(made) // 2
        assert len(alice.observer.of(SnapshotMade)) <= in_bulk + 1
        assert alice.observer.of(SnapshotMade)[-1].covered >= len(made) * GROWTH_IN_BULK
        await alice.stop()

    run(story())


def test_a_new_device_reads_the_snapshot_and_only_the_records_after_it() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = world.enrol("alice")
        await start(alice)
        words = numbered(GROWN)
        await write(alice, words)
        await settle(10)
        await write(alice, ["late"])
        made = alice.observer.of(SnapshotMade)[-1]
        second, reader = await read_anew(world, alice)
        assert set(reader.seen.words) == {*words, "late"}
        assert reader.records < 100
        assert second.observer.of(SnapshotRead) == [SnapshotRead(1, made.covered)]
        assert second.post is not None
        cluster, sequence = reader.seen.words["a7"]
        entry = await second.post.snapshots.entry(cluster, sequence)
        assert entry.payload == b"a7"
        with pytest.raises(MalformedPacket):
            await second.post.snapshots.entry(cluster, sequence + 10_000)
        await world.stop()

    run(story())


def test_after_recovery_the_snapshot_of_the_revoked_device_still_counts() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        bob = world.enrol("bob")
        await start(bob)
        alice = await grown_machine(world)
        await alice.stop()
        again = await world.recover(alice, revoke=True)
        reader = await start(again)
        await settle(30)
        assert set(reader.seen.words) == set(numbered(GROWN))
        assert again.observer.of(SnapshotRead)
        await world.stop()

    run(story())


def test_a_snapshot_announced_after_the_revocation_is_ignored() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        await start(alice)
        await start(bob)
        await write(alice, numbered(90))
        again = await world.recover(alice, revoke=True)
        await write(alice, numbered(GROWN, "by-the-thief-"))
        assert alice.post is not None
        await alice.post.snapshots._try(AppId.MAIL, Words)
        await settle(10)
        reader = await start(again)
        await settle(30)
        assert set(reader.seen.words) == set(numbered(90))
        assert not again.observer.of(SnapshotRead)
        await world.stop()

    run(story())


def test_pages_that_did_not_change_keep_their_blocks() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = await grown_machine(world)
        first = note_of(alice)
        inserted = len(world.ring.inserted)
        await write(alice, numbered(GROWN // 3, "b"))
        await settle(10)
        second = note_of(alice)
        assert second.announced.covered > first.announced.covered
        old = page_references(await root_of(alice, first))
        new = page_references(await root_of(alice, second))
        assert len(set(old) & set(new)) >= len(old) - 1, "all but the last page, which grew"
        stored = [h for h in world.ring.inserted[inserted:] if h.kind is BlockKind.CONTENT]
        assert len(stored) <= len(new) - len(old) + 2, "the root, and what is new"
        await world.stop()

    run(story())


def test_an_inspection_looks_at_every_block_of_a_snapshot() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = await grown_machine(world)
        note = note_of(alice)
        root = await root_of(alice, note)
        pieces = {piece.handle: piece for piece in await whole_account(alice)}
        wanted = [note.announced.root, *page_references(root)]
        assert {reference.handle for reference in wanted} <= pieces.keys()
        for blocks in (world.ring.blocks, alice.disk.vault):
            del blocks[note.announced.root.handle]
        (lost,) = [p for p in await whole_account(alice) if p.error]
        assert lost.handle == note.announced.root.handle
        await world.stop()

    run(story())


def test_no_snapshot_is_made_before_the_log_has_grown_by_its_share() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = world.enrol("alice")
        await start(alice)
        await write(alice, numbered(1000))
        await settle(10)
        made = len(alice.observer.of(SnapshotMade))
        await write(alice, numbered(150, "b"))
        await settle(10)
        assert len(alice.observer.of(SnapshotMade)) == made, "150 records, 1000 rows"
        await write(alice, numbered(200, "c"))
        await settle(10)
        assert len(alice.observer.of(SnapshotMade)) == made + 1
        await world.stop()

    run(story())


def test_a_restarted_machine_knows_its_snapshot_and_goes_on_from_it() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = await grown_machine(world)
        before = note_of(alice)
        await alice.stop()
        await start(alice)
        assert alice.post is not None
        assert alice.post.log.archive.announced == before
        snapshot = await alice.post.snapshots.newest(AppId.MAIL)
        assert snapshot is not None
        assert snapshot.covered == before.announced.covered
        await write(alice, ["more"])
        await settle(5)
        assert note_of(alice) == before, "every further head tells of it"
        await world.stop()

    run(story())


@pytest.mark.parametrize("died_after", range(1, 12))
def test_a_machine_that_dies_while_it_makes_one_makes_it_again(died_after: int) -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = world.enrol("alice")
        await start(alice)
        assert alice.post is not None
        alice.post.snapshots._begin.clear()
        await write(alice, numbered(GROWN))
        await settle(5)
        left = died_after

        def die(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crash

        alice.crash_point = alice.disk.on_commit = die
        alice.post.snapshots.register(AppId.MAIL, Words)
        await settle(10)
        alice.crash_point = alice.disk.on_commit = lambda _: None
        await alice.stop()
        await start(alice)
        await settle(20)
        assert note_of(alice).announced.covered >= GROWN - 50
        second, reader = await read_anew(world, alice)
        assert set(reader.seen.words) == set(numbered(GROWN))
        assert second.observer.of(SnapshotRead)
        await world.stop()

    run(story())


def test_without_enough_machines_no_snapshot_is_announced() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = world.enrol("alice")
        await start(alice)
        await write(alice, numbered(GROWN))
        assert alice.post is not None
        alice.is_online = False
        await alice.post.snapshots._try(AppId.MAIL, Words)
        assert alice.observer.of(SnapshotFailed)
        assert not alice.observer.of(SnapshotMade)
        alice.is_online = True
        await world.stop()

    run(story())


# Forgeries: by whoever holds the device's keys. Others cannot sign a head, or seal its note.


async def forged(world: World, change: Any) -> tuple[Machine, Reader]:
    """Let the machine announce what `change` makes of its snapshot; return who reads it."""
    alice = await grown_machine(world)
    assert alice.post is not None
    alice.post.snapshots._begin.clear()
    note = note_of(alice)
    announced = await change(alice, note.announced, await root_of(alice, note))
    await alice.post.log.append([announcement(announced)])
    await settle(5)
    second = await world.recover(alice, revoke=False)
    return second, await start(second)


async def stored(machine: Machine, value: object) -> Reference:
    assert machine.post is not None
    messages = machine.post.services.messages
    return (await messages.store(encode(value), secrecy=Secrecy.ACCOUNT)).reference


async def of_another_log(machine: Machine, announced: Announced, root: SnapshotRoot) -> Announced:
    other = msgspec.structs.replace(root, log_key=b"o" * 32)
    return msgspec.structs.replace(announced, root=await stored(machine, other))


async def of_another_branch(
    machine: Machine, announced: Announced, root: SnapshotRoot
) -> Announced:
    other = msgspec.structs.replace(root, tip=b"t" * 32)
    return msgspec.structs.replace(announced, root=await stored(machine, other))


async def said_to_cover_more(
    machine: Machine, announced: Announced, root: SnapshotRoot
) -> Announced:
    return msgspec.structs.replace(announced, covered=announced.covered + 7)


async def with_the_pages_of_another_folder(
    machine: Machine, announced: Announced, root: SnapshotRoot
) -> Announced:
    groups = tuple(PageGroup(b"z" + group.name, group.pages) for group in root.groups)
    other = msgspec.structs.replace(root, groups=groups)
    return msgspec.structs.replace(announced, root=await stored(machine, other))


async def with_a_page_of_another_log(
    machine: Machine, announced: Announced, root: SnapshotRoot
) -> Announced:
    page = SnapshotPage(1, int(AppId.MAIL), b"o" * 32, b"a", b"never,00,1")
    other = msgspec.structs.replace(root, groups=(PageGroup(b"a", (await stored(machine, page),)),))
    return msgspec.structs.replace(announced, root=await stored(machine, other))


@pytest.mark.parametrize(
    "change",
    [
        of_another_log,
        of_another_branch,
        said_to_cover_more,
        with_the_pages_of_another_folder,
        with_a_page_of_another_log,
    ],
)
def test_a_snapshot_that_is_not_what_it_is_called_is_refused_and_the_log_read_whole(
    change: Any,
) -> None:
    async def story() -> None:
        world = world_of_snapshots()
        second, reader = await forged(world, change)
        await settle(30)
        assert second.observer.of(SnapshotRefused)
        assert set(reader.seen.words) == set(numbered(GROWN))
        assert reader.records > GROWN
        await world.stop()

    run(story())


def test_an_older_snapshot_only_means_more_records_to_read() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = await grown_machine(world)
        older = note_of(alice)
        await write(alice, numbered(GROWN, "b"))
        await settle(10)
        assert note_of(alice).announced.covered > older.announced.covered
        assert alice.post is not None
        alice.post.snapshots._begin.clear()
        await alice.post.log.append([announcement(older.announced)])
        await settle(5)
        _, reader = await read_anew(world, alice)
        words = {*numbered(GROWN), *numbered(GROWN, "b")}
        assert set(reader.seen.words) == words, "nothing after it is missing"
        assert reader.records > GROWN
        await world.stop()

    run(story())


def test_a_head_that_points_at_a_snapshot_no_record_announces_is_not_believed() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        bob = world.enrol("bob")
        await start(bob)
        alice = await grown_machine(world)
        assert alice.post is not None
        key = alice.device.log_key(alice.post.log._writer.base.incarnation)
        handle = key_block_handle(key.public)
        block = open_key_block(world.ring.blocks[handle].block)
        content: HeadContent = head_of(block).content
        note = note_of(alice)
        version = block.body.version + 1
        data_key = alice.device.log_data_key(key.public, content.epoch)
        assert data_key is not None
        invented = msgspec.structs.replace(note.announced, rows=1)
        sealed = seal_head_note(
            HeadNote(1, note.sequence, invented), data_key, key.public, version, b"s" * 16
        )
        head = make_key_block(
            key, Kind.HEAD, ring=block.body.ring, previous=block, issued_at=block.body.issued_at,
            content=encode(msgspec.structs.replace(content, sealed=sealed)),
        )  # fmt: skip
        await alice.stop()
        world.publish(BlockKind.KEY, head.data)
        second, reader = await read_anew(world, alice)
        assert second.observer.of(SnapshotRefused)
        assert set(reader.seen.words) == set(numbered(GROWN))
        await world.stop()

    run(story())


def test_a_sealed_part_that_does_not_open_is_as_none() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        bob = world.enrol("bob")
        await start(bob)
        alice = await grown_machine(world)
        assert alice.post is not None
        handle = key_block_handle(alice.post.log.archive.log_key)
        head = head_of(open_key_block(world.ring.blocks[handle].block))
        assert read_head_note(head, alice.device) is not None
        assert read_head_note(head, bob.device) is None, "another account"
        await world.stop()

    run(story())


def test_a_clone_goes_on_with_the_snapshot_that_both_logs_have() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        world.ring.clones_may_run = True
        alice = await grown_machine(world)
        await write(alice, numbered(60, "b"))
        before = note_of(alice)
        await alice.stop()
        clone = alice.clone()
        await start(alice)
        await write(alice, ["of-the-original"])
        await settle(5)
        await alice.stop()
        world.machines[alice.name] = clone
        await start(clone)
        await settle(30)
        await write(clone, ["of-the-clone"])
        await settle(10)
        assert note_of(clone) == before, "a new incarnation, the same snapshot"
        second, reader = await read_anew(world, clone)
        assert set(reader.seen.words) == {
            *numbered(GROWN), *numbered(60, "b"), "of-the-original", "of-the-clone"
        }  # fmt: skip
        assert second.observer.of(SnapshotRead)
        await world.stop()

    run(story())


class Forgetful(Words):
    """A fold with a bug: it passes over every tenth record."""

    def add(self, sequence: int, cluster: bytes, payload: bytes) -> None:
        if sequence % 10:
            super().add(sequence, cluster, payload)


class Garbled(Words):
    """A fold whose pages nobody can read."""

    def pages(self) -> Iterator[Page]:
        yield Page(b"a", b"not,a")


async def inspect(machine: Machine, *, repairs: bool = False) -> list[Finding]:
    assert machine.post is not None
    inspection = Inspection(
        machine.store, lambda: machine.world.replicas, repairs=repairs, reads_every_copy=False
    )
    await inspection.look_at_snapshot(machine.post.snapshots)
    return inspection.report.findings


@pytest.mark.parametrize("buggy", [Forgetful, Garbled])
def test_a_snapshot_that_says_something_else_than_the_log_is_found_and_made_anew(
    buggy: type[Words],
) -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = world.enrol("alice")
        await start(alice)
        assert alice.post is not None
        assert await inspect(alice) == [], "there is none"
        alice.post.snapshots.register(AppId.MAIL, buggy)
        await write(alice, numbered(GROWN))
        await settle(10)
        alice.post.snapshots.register(AppId.MAIL, Words)
        (finding,) = await inspect(alice)
        assert finding.problem is Problem.UNSOUND
        assert finding.piece.handle.digest == note_of(alice).announced.root.digest
        (finding,) = await inspect(alice, repairs=True)
        assert finding.is_repaired
        assert await inspect(alice) == []

        await settle(10)
        second, reader = await read_anew(world, alice)
        assert set(reader.seen.words) == set(numbered(GROWN))
        assert len(second.observer.of(SnapshotRead)) == 1
        await world.stop()

    run(story())


def test_a_snapshot_whose_root_nobody_gives_is_found_and_one_out_of_reach_is_not_blamed() -> None:
    async def story() -> None:
        world = world_of_snapshots()
        alice = await grown_machine(world)
        assert await inspect(alice) == []
        root = Handle(BlockKind.CONTENT, note_of(alice).announced.root.digest)
        del alice.disk.vault[root]
        alice.is_online = False
        (finding,) = await inspect(alice, repairs=True)
        assert (finding.problem, finding.is_repaired) == (Problem.UNREACHABLE, False)
        alice.is_online = True
        del world.ring.blocks[root]
        (finding,) = await inspect(alice)
        assert finding.problem is Problem.UNSOUND
        await world.stop()

    run(story())
