"""The checkpoint of POST's own records: a start reads again only what came after it."""

from __future__ import annotations

import asyncio

import pytest

from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.notification import ledger
from epost.simulation.clock import run
from tests.support.post_world import World

MAIL = Entry(int(AppId.MAIL), b"a mail")


def test_many_records_of_others_make_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "RECORDS_READ_MAX", 20)

    async def story() -> None:
        world = World()
        alice = world.enrol("alice")
        post = await alice.start()
        await asyncio.sleep(2 * world.config.checkpoint_seconds)
        before = alice.disk.note(ledger.TABLE, b"folded")
        await post.log.append([MAIL] * 10)
        await asyncio.sleep(2 * world.config.checkpoint_seconds)
        assert alice.disk.note(ledger.TABLE, b"folded") == before, "too few to be worth a commit"
        await post.log.append([MAIL] * 20)
        await asyncio.sleep(2 * world.config.checkpoint_seconds)
        assert post.log.told_sequence == post.log.sequence
        folded = ledger._FOLDED.decode(alice.disk.note(ledger.TABLE, b"folded") or b"")
        assert folded.sequence >= post.log.sequence - 20
        await alice.stop()

    run(story())
