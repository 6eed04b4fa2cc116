"""Mail from snapshots: a new machine, an erased index, an index that a crash left half made."""

from __future__ import annotations

from typing import Any

import pytest

from epost.apps.mail.log.records import Logged
from epost.apps.mail.mailbox import DELETED, FLAGGED, SEEN, FlagChange, NewMail
from epost.foundation.errors import NoSuchBlock, UnavailableError
from epost.foundation.ids import BlockKind
from epost.post.observed import SnapshotMade, SnapshotRead
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import simple_mail
from tests.support.post_world import World, settle
from tests.unit.apps.mail.test_mail_over_post import LARGE, Desk

MAILS = 620


def octets(number: int) -> bytes:
    return simple_mail(subject=f"number {number}")


async def full_desk() -> tuple[World, Desk]:
    """A mailbox that has been used for a while, and a snapshot of its log."""
    world = World(snapshot_records_min=100, snapshot_check_seconds=1.0)
    desk = Desk(world.enrol("alice"))
    await desk.start()
    await settle()
    inbox = await desk.mail.mailbox.open("INBOX")
    for first in range(0, MAILS, 100):
        last = min(first + 100, MAILS)
        await inbox.append([NewMail(octets(number)) for number in range(first, last)])
    await inbox.append([NewMail(LARGE)])
    await inbox.change_flags([1, 2, 3], FlagChange.ADD, frozenset({SEEN, DELETED}))
    await inbox.expunge([1])
    await inbox.move([5, 6], "Archive")
    await settle(10)
    assert desk.machine.observer.of(SnapshotMade)
    await inbox.change_flags([10], FlagChange.ADD, frozenset({FLAGGED}))
    await settle(5)
    return world, desk


async def both_folders(desk: Desk) -> list[Any]:
    return [await desk.shown(name) for name in ("INBOX", "Archive")]


def without_uids(shown: list[Any]) -> list[Any]:
    return [sorted((sorted(flags), mail) for _, flags, mail in rows) for rows in shown]


def test_a_new_machine_takes_the_snapshot_and_shows_every_mail() -> None:
    async def story() -> None:
        world, desk = await full_desk()
        before = await both_folders(desk)
        other = Desk(await world.recover(desk.machine, revoke=False))
        await other.start()
        await settle(60)
        assert other.machine.observer.of(SnapshotRead)
        inbox = await other.mail.mailbox.open("INBOX")
        rows = await inbox.rows(inbox.uids())
        contents = [other.index.content(bytes.fromhex(row.email_id)) for row in rows]
        assert any(isinstance(content, Logged) for content in contents)
        assert without_uids(await both_folders(other)) == without_uids(before)
        await world.stop()

    run(story())


def test_rows_show_before_a_single_mail_was_fetched() -> None:
    async def story() -> None:
        world, desk = await full_desk()
        other = Desk(await world.recover(desk.machine, revoke=False))
        hidden = {
            handle: block
            for handle, block in world.ring.blocks.items()
            if handle.kind is BlockKind.CLUSTER and len(block.block) > 20_000
        }
        # All clusters but those behind the snapshot are lost for now.
        kept = sorted(hidden, key=lambda h: hidden[h].entry.version)[-2:]
        for handle in hidden:
            if handle not in kept:
                del world.ring.blocks[handle]
        await other.start()
        await settle(60)
        inbox = await other.mail.mailbox.open("INBOX")
        assert len(inbox.uids()) == MAILS - 2
        first = min(inbox.uids())
        with pytest.raises(NoSuchBlock):
            await inbox.octets(first)
        world.ring.blocks.update(hidden)
        assert await inbox.octets(first)
        await world.stop()

    run(story())


def test_an_erased_index_is_made_from_the_own_snapshot_with_the_same_uids() -> None:
    async def story() -> None:
        world, desk = await full_desk()
        before = await both_folders(desk)
        await desk.stop()
        desk.index = SimulatedMailIndex()
        await desk.start()
        assert await both_folders(desk) == before
        inbox = await desk.mail.mailbox.open("INBOX")
        row = (await inbox.rows([2]))[0]
        assert isinstance(desk.index.content(bytes.fromhex(row.email_id)), Logged)
        (uid,) = [u for u in (await inbox.append([NewMail(octets(9999))])).uids if u]
        assert uid > max(uid for uid, _, _ in before[0])
        await world.stop()

    run(story())


def test_an_index_that_took_half_a_snapshot_is_made_anew_with_the_same_uids() -> None:
    async def story() -> None:
        world, desk = await full_desk()
        before = await both_folders(desk)
        await desk.stop()
        desk.index = SimulatedMailIndex()
        commits = 0
        commit = desk.index.commit

        def failing(batch: Any) -> None:
            nonlocal commits
            commits += 1
            if commits > 1:
                raise UnavailableError("the machine died here")
            commit(batch)

        desk.index.commit = failing  # type: ignore[method-assign]
        with pytest.raises(UnavailableError):
            await desk.start()
        await desk.machine.stop()
        desk.index.commit = commit  # type: ignore[method-assign]
        state = desk.index.state()
        assert state is not None
        assert not state.incarnation
        await desk.start()
        assert await both_folders(desk) == before
        await world.stop()

    run(story())


def test_without_its_pages_the_index_is_made_from_the_log() -> None:
    async def story() -> None:
        world, desk = await full_desk()
        before = await both_folders(desk)
        assert desk.machine.post is not None
        note = desk.machine.post.log.archive.announced
        assert note is not None
        for blocks in (world.ring.blocks, desk.machine.disk.vault):
            blocks.pop(note.announced.root.handle, None)
        await desk.stop()
        desk.index = SimulatedMailIndex()
        await desk.start()
        assert await both_folders(desk) == before
        await world.stop()

    run(story())
