"""The device log: group commit, clusters, both tail variants, offline, restored, cloned."""

from __future__ import annotations

import asyncio

import pytest

from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.errors import DiskFull, MessageTooLarge, Overloaded
from epost.foundation.ids import BlockKind
from epost.past.log_format import head_of, split_records
from epost.post.accounts.blocks import decode_device_info
from epost.post.app_ids import AppId
from epost.post.config import PostConfig
from epost.post.logs.appending import GATHERING_PAUSES_MAX, RECORDS_GATHERED_MAX, Appended
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.entries import PAYLOAD_BYTES_MAX, Entry
from epost.post.logs.reader import LogReader
from epost.post.observed import DeviceExistsTwice, LogUnreadable
from epost.simulation.clock import run
from tests.support.post_world import Machine, World, settle

BOTH = pytest.mark.parametrize("tail_in_head", [True, False], ids=["tail", "cluster"])


def mail(text: str | bytes) -> Entry:
    return Entry(AppId.MAIL, text.encode() if isinstance(text, str) else text)


async def logged(log: DeviceLog, after: int = 0) -> list[str]:
    return [payload.decode() async for _, payload in log.replay(AppId.MAIL, after)]


class Told:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, str]] = []

    def __call__(self, sequence: int, entry: Entry, origin: object) -> None:
        self.entries.append((sequence, entry.payload.decode()))

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.entries]


async def started(machine: Machine) -> tuple[DeviceLog, Told]:
    told = Told()
    post = await machine.start(lambda post: post.log.register(AppId.MAIL, told))
    return post.log, told


async def read_from_ring(machine: Machine) -> list[str]:
    """Read the log as a new device would: from the device block, through heads and clusters."""
    ring = machine.world.ring.blocks
    block = ring[key_block_handle(machine.device.signing.public)].block
    texts: list[str] = []
    for name in decode_device_info(open_key_block(block).body.content).logs:
        stored = ring.get(key_block_handle(name.log_key))
        if stored is None:
            continue
        head = head_of(open_key_block(stored.block)).content
        records, handle, own = list(head.tail), head.cluster, []
        while handle != bytes(32):
            at = next(h for h in ring if h.digest == handle)
            own = [*split_records(ring[at].block), *own]
            proof = head_of(open_key_block(ring[at].entry.proof)).content
            handle = proof.previous_cluster
        for record in [*own, *records]:
            _, entry = LogReader(machine.store, machine.device).open(record)
            if entry.app == AppId.MAIL and (text := entry.payload.decode()) not in texts:
                texts.append(text)
    return texts


@BOTH
def test_an_append_is_ring_durable_and_told_before_it_returns(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, told = await started(alice)
        appended = await log.append([mail("one"), mail("two")])
        assert appended.first_sequence == 1
        assert appended.durability.ring_durable
        assert told.entries == [(1, "one"), (2, "two")]
        assert await read_from_ring(alice) == ["one", "two"]
        assert log.is_ring_durable(2)
        await alice.stop()

    run(story())


@BOTH
def test_appends_that_come_together_share_one_commit_and_one_head(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        await settle()
        commits, heads = alice.disk.commits, len(alice.world.ring.heads)
        results = await asyncio.gather(*(log.append([mail(f"{n}")]) for n in range(40)))
        assert [r.first_sequence for r in results] == list(range(1, 41))
        assert alice.disk.commits - commits == 1
        assert len(alice.world.ring.heads) - heads == 1
        await alice.stop()

    run(story())


def test_entries_that_nobody_waits_for_gather_while_more_come_but_not_for_ever() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        log, _ = await started(alice)
        await settle()
        pause, heads = PostConfig().gather_seconds, alice.world.ring.heads
        before = len(heads)
        appends: list[asyncio.Future[Appended]] = []
        for number in range(2 * GATHERING_PAUSES_MAX):
            appends.append(log.submit([mail(f"{number}")], lambda: None))
            await settle(pause / 2)
        assert len(heads) == before
        appends.append(log.submit([mail("one more")], lambda: None))
        await settle(pause)
        assert len(heads) == before + 1
        assert all(append.done() for append in appends[:-1])
        many = [mail(f"{number}") for number in range(RECORDS_GATHERED_MAX)]
        for entries in (many[:1], many[1:]):
            appends.append(log.submit(entries, lambda: None))
            await settle(pause / 2)
        await settle(pause)
        assert all(append.done() for append in appends)
        await alice.stop()

    run(story())


@BOTH
def test_entries_that_nobody_waits_for_gather_until_somebody_waits(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, told = await started(alice)
        await settle()
        heads, on_their_way = alice.world.ring.heads, list[int]()
        before = len(heads)

        async def append(number: int) -> bool:
            appended = await log.append([mail(f"{number}")], lambda: on_their_way.append(number))
            return appended.durability.ring_durable

        appends = [asyncio.ensure_future(append(number)) for number in range(3)]
        await settle(PostConfig().gather_seconds / 2)
        appends.append(asyncio.ensure_future(append(3)))
        await settle(PostConfig().gather_seconds / 4)
        assert on_their_way == [0, 1, 2, 3]
        assert told.texts == ["0", "1", "2", "3"]
        assert len(heads) == before
        assert all(await asyncio.gather(*appends))
        assert len(heads) == before + 1
        last = asyncio.ensure_future(append(4))
        await settle(PostConfig().gather_seconds / 4)
        assert (await log.append([mail("5")])).durability.ring_durable
        assert len(heads) == before + 2
        assert await last
        assert await read_from_ring(alice) == ["0", "1", "2", "3", "4", "5"]
        await alice.stop()

    run(story())


def test_what_does_not_reach_the_ring_is_not_said_to_be_on_its_way() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        alice.is_online = False
        log, _ = await started(alice)
        await settle()
        on_their_way: list[int] = []
        appended = await log.append([mail("one")], lambda: on_their_way.append(1))
        assert not appended.durability.ring_durable
        assert on_their_way == []
        await alice.stop()

    run(story())


@BOTH
def test_a_long_log_is_cut_into_clusters_of_fifty_and_reads_back(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, told = await started(alice)
        expected = [f"entry {n}" for n in range(260)]
        for start in range(0, 260, 20):
            appended = await log.append([mail(t) for t in expected[start : start + 20]])
            assert appended.durability.ring_durable
        assert told.texts == expected
        assert await logged(log) == expected
        assert await logged(log, after=123) == expected[123:]
        assert await read_from_ring(alice) == expected
        await alice.stop()
        log, _ = await started(alice)
        await log.append([mail("after the start")])
        assert await logged(log, after=259) == [expected[259], "after the start"]
        assert len(alice.disk.notes("post.log.records")) <= 100
        await alice.stop()

    run(story())


def test_mails_of_some_kilobytes_take_one_round_each_until_a_tail_of_them_is_full() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        log, _ = await started(alice)
        inserted = alice.world.ring.inserted
        before, texts = len(inserted), ["x" * 10_000 + str(n) for n in range(9)]
        for text in texts:
            assert (await log.append([mail(text)])).durability.ring_durable
        kinds = [handle.kind for handle in inserted[before:]]
        one, two = [BlockKind.KEY], [BlockKind.CLUSTER, BlockKind.KEY]
        assert kinds == [*one, *one, *one, *two, *one, *one, *one, *two, *one]
        assert await read_from_ring(alice) == texts
        await alice.stop()
        log, _ = await started(alice)
        assert (await log.append([mail("after the start")])).durability.ring_durable
        assert await read_from_ring(alice) == [*texts, "after the start"]
        await alice.stop()

    run(story())


@BOTH
def test_entries_of_any_size_up_to_the_limit_are_logged(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        texts = ["x" * size for size in (0, 1, 16_000, 40_000, PAYLOAD_BYTES_MAX, 10)] * 3
        for text in texts:
            assert (await log.append([mail(text)])).durability.ring_durable
        assert await logged(log) == texts
        with pytest.raises(MessageTooLarge):
            await log.append([mail(b"x" * (PAYLOAD_BYTES_MAX + 1))])
        await log.append([mail("fits")])
        assert await logged(log) == [*texts, "fits"]
        await alice.stop()

    run(story())


@BOTH
def test_without_the_ring_appends_are_held_locally_and_signed_later(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        alice.is_online = False
        log, told = await started(alice)
        appended = await log.append([mail("on a train")])
        assert not appended.durability.ring_durable
        assert appended.durability.wanted == 3
        for n in range(120):
            await log.append([mail(f"{n}")])
        assert not alice.disk.note("post.log", b"head"), "nothing is signed before the comparison"
        assert len(told.texts) == 121
        await alice.stop()
        log, _ = await started(alice)
        assert len(await logged(log)) == 121
        alice.is_online = True
        await settle(120)
        assert log.is_ring_durable(121)
        assert await read_from_ring(alice) == await logged(log)
        await alice.stop()

    run(story())


@BOTH
def test_a_ring_that_goes_away_holds_appends_at_once_until_it_is_back(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        await log.append([mail("before")])
        alice.is_online = False
        held = await log.append([mail("during")])
        assert not held.durability.ring_durable
        alice.is_online = True
        await settle(10)
        assert log.is_ring_durable(held.first_sequence)
        assert (await log.append([mail("after")])).durability.ring_durable
        assert await read_from_ring(alice) == ["before", "during", "after"]
        await alice.stop()

    run(story())


@BOTH
def test_a_restored_backup_signs_no_version_twice_and_loses_nothing(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        for n in range(70):
            await log.append([mail(f"common {n}")])
        backup = alice.disk.copy()
        for n in range(45):
            await log.append([mail(f"later {n}")])
        await alice.stop()
        alice.disk = backup
        log, told = await started(alice)
        await log.append([mail("after restoring")])
        await settle(5)
        assert [event.common_sequence for event in alice.observer.of(DeviceExistsTwice)] == [70]
        everything = {*(f"common {n}" for n in range(70)), *(f"later {n}" for n in range(45))}
        assert set(await logged(log)) == {*everything, "after restoring"}
        assert {f"later {n}" for n in range(45)} <= set(told.texts)
        assert set(await read_from_ring(alice)) == {*everything, "after restoring"}
        await alice.stop()
        log, _ = await started(alice)
        assert (await log.append([mail("goes on")])).durability.ring_durable
        await settle(5)
        assert alice.observer.of(DeviceExistsTwice) == [], "told once"
        await alice.stop()

    run(story())


@BOTH
def test_a_disk_may_be_restored_again_and_again(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        await log.append([mail("common")])
        await settle()
        backup, texts = alice.disk.copy(), ["common"]
        for life in range(4):
            for n in range(30):
                await log.append([mail(f"life {life}, {n}")])
                texts.append(f"life {life}, {n}")
            await settle()
            await alice.stop()
            alice.disk = backup.copy()
            log, _ = await started(alice)
            await settle(5)
            assert set(await logged(log)) == set(texts)
        assert set(await read_from_ring(alice)) == set(texts)
        await alice.stop()

    run(story())


@BOTH
def test_whoever_had_read_part_of_the_lost_time_reads_all_of_it(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        for n in range(60):
            await log.append([mail(f"common {n}")])
        backup = alice.disk.copy()
        for n in range(55):
            await log.append([mail(f"theirs {n}")])
        await alice.stop()
        alice.disk, alice.is_online = backup, False
        log, _ = await started(alice)
        for n in range(4):
            await log.append([mail(f"ours {n}")])  # numbers 61 to 64, as the lost ones had
        alice.is_online = True
        await settle(100)
        unread = await logged(log, after=64)
        assert {f"theirs {n}" for n in range(55)} <= set(unread)
        assert {f"ours {n}" for n in range(4)} <= set(unread)
        assert await logged(log, after=log.sequence) == []
        await alice.stop()

    run(story())


@BOTH
def test_two_clones_that_both_run_go_on_under_different_keys(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        for n in range(10):
            await log.append([mail(f"common {n}")])
        alice.world.ring.clones_may_run = True  # each signs once before it meets the other's head
        clone = alice.clone()
        clone_log, _ = await started(clone)
        await settle()  # both are sure of their log
        for n in range(30):
            await log.append([mail(f"a{n}")])
            await clone_log.append([mail(f"b{n}")])
        await settle(200)
        assert (await log.append([mail("a-last")])).durability.ring_durable
        assert (await clone_log.append([mail("b-last")])).durability.ring_durable
        await settle(200)
        everything = set(await read_from_ring(alice))
        assert {f"a{n}" for n in range(30)} | {f"b{n}" for n in range(30)} <= everything
        assert {"a-last", "b-last", "common 0"} <= everything
        assert clone.observer.of(DeviceExistsTwice) or alice.observer.of(DeviceExistsTwice)
        await clone.stop()
        await alice.stop()

    run(story())


@BOTH
def test_what_a_clone_logged_is_seen_here_without_an_append(tail_in_head: bool) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, told = await started(alice)
        await log.append([mail("common")])
        clone = alice.clone()
        clone_log, _ = await started(clone)
        await clone_log.append([mail("of the clone")])
        await clone.stop()
        await settle(2 * PostConfig().log_look_seconds)
        assert "of the clone" in told.texts
        await alice.stop()

    run(story())


def test_looking_at_the_own_log_changes_nothing_where_nobody_else_wrote() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        log, told = await started(alice)
        await log.append([mail("mine")])
        reached: list[None] = []
        log.on_reached(lambda: reached.append(None))
        await settle(3 * PostConfig().log_look_seconds)
        assert (await log.append([mail("mine too")])).durability.ring_durable
        assert told.texts == ["mine", "mine too"]
        assert not alice.observer.of(DeviceExistsTwice)
        assert not reached, "it was in reach all the time: nothing is offered again"
        await alice.stop()

    run(story())


def test_a_machine_that_lost_its_vault_reads_its_log_back_from_the_ring() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        log, _ = await started(alice)
        expected = [f"entry {n}" for n in range(130)]
        await log.append([mail(t) for t in expected])
        await alice.stop()
        alice.disk = type(alice.disk)()
        log, told = await started(alice)
        await settle(10)
        assert sorted(set(told.texts)) == sorted(expected)
        assert set(await logged(log)) == set(expected)
        await alice.stop()

    run(story())


def test_too_many_waiting_entries_are_refused_and_a_full_disk_is_told() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        log, _ = await started(alice)
        first = asyncio.ensure_future(log.append([mail("x")] * 9_990))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await log.append([mail("x")] * 11)
        await first
        alice.disk.fail_with = DiskFull("no room left")
        with pytest.raises(DiskFull):
            await log.append([mail("y")])
        await alice.stop()

    run(story())


def test_a_start_waits_for_a_cluster_that_is_nowhere_to_be_had() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        log, _ = await started(alice)
        await log.append([Entry(AppId.POST, b"from a later version")] * 60)
        await settle()
        await alice.stop()
        alice.disk.tables.pop("post.ledger", None)
        vault, alice.disk.vault = alice.disk.vault, {}
        alice.is_online = False
        starting = asyncio.ensure_future(started(alice))
        await settle(20)
        assert not starting.done()
        assert alice.observer.of(LogUnreadable)
        alice.disk.vault = vault
        log, _ = await starting
        assert log.sequence == 60
        await alice.stop()

    run(story())


@BOTH
def test_the_listeners_hear_what_the_ring_has_even_if_it_goes_away_meanwhile(
    tail_in_head: bool,
) -> None:
    async def story() -> None:
        alice = World(tail_in_head=tail_in_head).enrol("alice")
        log, _ = await started(alice)
        texts = [f"entry {n}" for n in range(230)]
        await log.append([mail(text) for text in texts])
        await settle(5)
        await alice.stop()
        alice.disk = type(alice.disk)()

        def cut(_when: str) -> None:
            if alice.disk.note("post.log", b"base"):
                alice.is_online = False  # right when the new incarnation is committed

        alice.disk.on_commit = cut
        log, told = await started(alice)
        await settle(5)
        assert set(texts) <= set(told.texts)
        alice.disk.on_commit = lambda _when: None
        alice.is_online = True
        await settle(30)
        assert log.is_ring_durable(log.sequence)
        await alice.stop()

    run(story())
