"""Verify finds what was damaged on purpose; repair mends it, or says that it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from epost.crypto.signing import SigningKey
from epost.foundation.codec import encode
from epost.foundation.effects import Caller, Outbox
from epost.foundation.ids import BlockKind, Handle, NodeId
from epost.foundation.ports import DeleteBlock
from epost.foundation.wire import Application
from epost.past.blocks import content_handle
from epost.past.log_format import join_records
from epost.past.messages import REQUEST, Accepted, Fetch, Found, Has, Holds
from epost.past.replica import Replica
from epost.post.account_reach import Piece
from epost.post.inspection import Finding, Inspection, Problem
from tests.support.logs import Log
from tests.support.past_ring import PastRing, in_ring, key_block

BLOCKS = [b"block %d" % number for number in range(5)]
HANDLES = [content_handle(block) for block in BLOCKS]
KEY_BLOCK = key_block(SigningKey(b"k" * 32), b"content")


async def fill(ring: PastRing, *, mirror: bool = False) -> None:
    store = ring.node("ann").store
    await store.insert_many([(BlockKind.CONTENT, block) for block in BLOCKS], mirror=mirror)
    await store.insert(BlockKind.KEY, KEY_BLOCK.data, mirror=mirror)
    await ring.world.run_for(1.0)


def erase(ring: PastRing, handle: Handle, *, keep: int) -> None:
    """Take a block away from all machines but so many of those that keep it."""
    for name in sorted(ring.roles(handle))[keep:]:
        ring.node(name).driver.outbox.write(DeleteBlock(handle))
        ring.node(name).driver.wake()


def rot(ring: PastRing, name: str, handle: Handle) -> None:
    for contents in ring.hosts[name].disk._views():
        contents.flip_bit(handle, 3)


async def pieces(*handles: Handle) -> AsyncIterator[Piece]:
    for handle in handles:
        yield Piece(handle, "a mail")


async def inspect(
    ring: PastRing, *handles: Handle, repairs: bool = False, every_copy: bool = False
) -> list[Finding]:
    node = ring.node("ann")
    inspection = Inspection(
        node.store,
        node.issuers.replication_factor,
        repairs=repairs,
        reads_every_copy=every_copy,
    )
    await inspection.run(pieces(*handles))
    report = inspection.report
    assert (report.checked, report.total) == (len(set(handles)),) * 2
    assert report.lacking + report.repaired == len(report.findings)
    return report.findings


Given = tuple[bytes, bytes]
"""A block and, of a cluster, its head."""


class Lying:
    """A replica that says it has everything and takes everything, and gives what it likes."""

    def __init__(self, honest: Replica, outbox: Outbox, gives: Given) -> None:
        self._honest, self._outbox, self._gives = honest, outbox, gives

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        match REQUEST.decode(body):
            case Fetch():
                reply = Found(*self._gives, False, b"")
            case Has(handles):
                reply = Holds(handles)
            case _:
                reply = Accepted(b"")
        self._outbox.reply(caller, encode(reply))


def let_lie(ring: PastRing, handle: Handle, gives: Given) -> NodeId:
    """Make the closest machine to a block that is not the reader's own a liar."""
    name = next(name for name in ring.closest(handle) if name != "ann")
    node = ring.node(name)
    lying = Lying(node.replica, node.driver.outbox, gives)
    node.driver._machines[Application.PAST] = lying
    return ring.members[name].handle.id


@pytest.mark.parametrize("every_copy", [False, True])
def test_what_is_whole_is_said_to_be(every_copy: bool) -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        everything = (*HANDLES, *HANDLES, KEY_BLOCK.handle)
        assert await inspect(ring, *everything, every_copy=every_copy) == []

    in_ring(story)


@pytest.mark.parametrize("handle", [HANDLES[1], KEY_BLOCK.handle], ids=["content", "key"])
def test_a_block_erased_at_all_but_one_replica_is_found_and_put_back(handle: Handle) -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        ring.may_copy = False  # or the ring would heal by itself meanwhile
        erase(ring, handle, keep=1)
        await ring.world.run_for(0.1)
        (found,) = await inspect(ring, *HANDLES, KEY_BLOCK.handle)
        assert (found.piece.handle, found.problem, found.copies) == (handle, Problem.TOO_FEW, 1)
        (mended,) = await inspect(ring, *HANDLES, KEY_BLOCK.handle, repairs=True)
        assert (mended.is_repaired, mended.copies) == (True, 3)
        assert len(await ring.node("ann").store.holders(handle)) == 3

    in_ring(story)


def test_a_rotten_copy_is_found_by_reading_every_one_and_mended() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        handle = HANDLES[2]
        others = [name for name in sorted(ring.roles(handle)) if name != "ann"]
        rot(ring, others[0], handle)
        assert await inspect(ring, *HANDLES) == [], "everybody says that he has it"
        (found,) = await inspect(ring, *HANDLES, every_copy=True)
        assert (found.piece.handle, found.copies) == (handle, 2)
        rot(ring, others[1], handle)
        (mended,) = await inspect(ring, *HANDLES, every_copy=True, repairs=True)
        assert (mended.is_repaired, mended.copies) == (True, 3)
        assert await inspect(ring, *HANDLES, every_copy=True) == []

    in_ring(story)


def test_the_own_mirror_mends_what_no_replica_has_any_more() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring, mirror=True)
        handle = next(h for h in HANDLES if "ann" not in ring.closest(h)[:4])
        for name in sorted(ring.roles(handle).keys() - {"ann"}):
            ring.node(name).driver.outbox.write(DeleteBlock(handle))
            ring.node(name).driver.wake()
        await ring.world.run_for(0.1)
        (found,) = await inspect(ring, handle)
        assert (found.problem, found.copies) == (Problem.TOO_FEW, 0)
        (mended,) = await inspect(ring, handle, repairs=True)
        assert mended.is_repaired

    in_ring(story, ["ann", "ben", "cat", "dan", "eve", "fay", "gil", "hal"])


def test_what_nobody_has_cannot_be_repaired_and_is_said() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        gone = content_handle(b"never stored")
        unknown = key_block(SigningKey(b"u" * 32)).handle
        found = await inspect(ring, gone, unknown, HANDLES[0], repairs=True)
        assert {f.piece.handle: f.problem for f in found} == dict.fromkeys(
            (gone, unknown), Problem.MISSING
        )
        assert not any(f.is_repaired for f in found)

    in_ring(story)


def test_below_k_machines_everything_has_too_few_copies_and_stays_so() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring, mirror=True)
        for name in ("cat", "dan", "eve"):
            ring.fail(name)
        await ring.world.run_for(5.0)
        found = await inspect(ring, *HANDLES, repairs=True)
        assert {f.piece.handle for f in found} == set(HANDLES)
        assert all(f.copies == 2 and not f.is_repaired for f in found)
        assert all(f.reason for f in found)

    in_ring(story)


def test_what_could_not_even_be_listed_is_told_with_its_reason() -> None:
    async def story(ring: PastRing) -> None:
        node = ring.node("ann")
        inspection = Inspection(node.store, lambda: 3, repairs=False, reads_every_copy=False)

        async def broken() -> AsyncIterator[Piece]:
            yield Piece(content_handle(b"manifest"), "a mail", "its parts are not known")

        await inspection.run(broken())
        (found,) = inspection.report.findings
        assert (found.problem, found.reason) == (Problem.MISSING, "its parts are not known")

    in_ring(story)


# Machines that lie.


def test_a_machine_that_gives_other_octets_is_named_and_repair_does_not_call_it_mended() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        liar = let_lie(ring, HANDLES[2], (b"other octets", b""))
        assert await inspect(ring, HANDLES[2]) == [], "one good copy, and three say they have it"
        (found,) = await inspect(ring, HANDLES[2], every_copy=True)
        assert (found.problem, found.copies, found.without) == (Problem.TOO_FEW, 2, (liar,))
        (left,) = await inspect(ring, HANDLES[2], every_copy=True, repairs=True)
        assert (left.is_repaired, left.without) == (False, (liar,))

    in_ring(story)


def test_a_machine_that_gives_an_old_version_is_named_without_reading_everything() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        newer = key_block(SigningKey(b"k" * 32), b"newer", previous=KEY_BLOCK)
        liar = let_lie(ring, KEY_BLOCK.handle, (KEY_BLOCK.data, b""))
        await ring.node("ann").store.insert(BlockKind.KEY, newer.data)
        (found,) = await inspect(ring, KEY_BLOCK.handle)
        assert (found.problem, found.copies, found.without) == (Problem.TOO_FEW, 2, (liar,))
        (left,) = await inspect(ring, KEY_BLOCK.handle, repairs=True)
        assert (left.is_repaired, left.without) == (False, (liar,))
        reading = await ring.node("ann").store.lookup_latest(KEY_BLOCK.handle)
        assert reading.block == newer.data

    in_ring(story)


def test_a_machine_that_gives_a_shorter_cluster_is_named() -> None:
    async def story(ring: PastRing) -> None:
        log, store = Log(SigningKey(b"l" * 32)), ring.node("ann").store
        records = log.append(b"one")
        head = log.head().data
        await store.extend(log.cluster, records, head)
        liar = let_lie(ring, log.cluster, (join_records(records), head))
        await store.extend(log.cluster, log.append(b"two"), log.head().data)
        (found,) = await inspect(ring, log.cluster, every_copy=True)
        assert (found.problem, found.copies, found.without) == (Problem.TOO_FEW, 2, (liar,))
        (left,) = await inspect(ring, log.cluster, every_copy=True, repairs=True)
        assert (left.is_repaired, left.without) == (False, (liar,))

    in_ring(story)


def test_what_an_honest_machine_missed_is_brought_to_it() -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        ring.may_copy = False
        late = next(name for name in ring.closest(KEY_BLOCK.handle) if name != "ann")
        honest = ring.node(late).driver._machines[Application.PAST]
        let_lie(ring, KEY_BLOCK.handle, (KEY_BLOCK.data, b""))
        newer = key_block(SigningKey(b"k" * 32), b"newer", previous=KEY_BLOCK)
        await ring.node("ann").store.insert(BlockKind.KEY, newer.data)
        ring.node(late).driver._machines[Application.PAST] = honest
        (mended,) = await inspect(ring, KEY_BLOCK.handle, repairs=True)
        assert (mended.is_repaired, mended.copies) == (True, 3)
        assert await inspect(ring, KEY_BLOCK.handle, every_copy=True) == []

    in_ring(story)


@pytest.mark.parametrize("handle", [HANDLES[1], KEY_BLOCK.handle], ids=["content", "key"])
@pytest.mark.parametrize("every_copy", [False, True])
def test_a_machine_that_is_silent_is_named_and_another_takes_its_copy(
    handle: Handle, every_copy: bool
) -> None:
    async def story(ring: PastRing) -> None:
        await fill(ring)
        name = next(name for name in ring.closest(handle) if name != "ann")
        silent = ring.members[name].handle
        others = [m.handle.node_id for m in ring.members.values() if m.handle != silent]
        ring.world.network.partition([silent.node_id], others)  # nobody has noticed yet
        (found,) = await inspect(ring, handle, every_copy=every_copy)
        assert (found.problem, found.copies, found.without) == (Problem.TOO_FEW, 2, (silent.id,))
        (mended,) = await inspect(ring, handle, repairs=True, every_copy=every_copy)
        assert (mended.is_repaired, mended.copies) == (True, 3)

    in_ring(story)
