"""What nothing refers to is let go after its time; what anything refers to never is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from epost.foundation.errors import UnavailableError
from epost.foundation.ids import Handle
from epost.post.assembly import Post
from epost.post.observed import LeasesLeft, LeasesNotJudged
from epost.post.storage import unneeded
from epost.post.storage.lease_ending import LeaseEnding
from epost.post.storage.message_store import MessageStore
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.clock import run
from tests.support.post_world import Machine, World, settle

MIB = 1024 * 1024
KEPT_SECONDS = 1000.0


@dataclass
class Letters:
    """An application: what it refers to, and what it did once."""

    once: list[Reference] = field(default_factory=list)
    now: list[Reference] = field(default_factory=list)
    error: Exception | None = None

    async def given_up(self) -> AsyncIterator[Reference]:
        for reference in self.once:
            yield reference

    async def needed(self) -> AsyncIterator[Reference]:
        for reference in self.now:
            yield reference
        if self.error is not None:
            raise self.error


class Desk:
    """A machine with that application."""

    def __init__(self, alice: Machine) -> None:
        self.alice = alice
        self.letters = Letters()

    async def start(self) -> None:
        def prepare(post: Post) -> None:
            # Whoever follows the other devices' logs would be mail; here nobody has any.
            post.services.lease_ending._read_siblings = self._read_siblings
            post.services.lease_ending.register(self.letters)

        self.has_read_siblings = True
        self.post = await self.alice.start(prepare)

    async def _read_siblings(self) -> bool:
        return self.has_read_siblings

    @property
    def messages(self) -> MessageStore:
        return self.post.services.messages

    @property
    def ending(self) -> LeaseEnding:
        return self.post.services.lease_ending

    @property
    def let_go(self) -> list[Handle]:
        return self.alice.store.unmirrored

    async def give_up(self, plaintext: bytes, secrecy: Secrecy | None = None) -> Reference:
        reference = (await self.messages.store(plaintext, secrecy=secrecy)).reference
        self.letters.once.append(reference)
        return reference

    async def look_again(self, seconds: float = KEPT_SECONDS) -> None:
        assert await self.ending.look()
        await settle(seconds)
        assert await self.ending.look()


def at_a_desk(story: Callable[[Desk], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        async def whole() -> None:
            world = World(unneeded_kept_seconds=KEPT_SECONDS, lease_ending_seconds=1e9)
            desk = Desk(world.enrol("alice"))
            await desk.start()
            await story(desk)
            await world.stop()

        run(whole())

    test.__name__ = story.__name__
    return test


@at_a_desk
async def test_a_block_is_let_go_when_it_was_not_needed_for_long_enough(desk: Desk) -> None:
    reference = await desk.give_up(b"gone")
    await desk.look_again(KEPT_SECONDS - 1)
    assert desk.let_go == []
    await desk.look_again(2)
    assert desk.let_go == [reference.handle]
    assert desk.alice.observer.of(LeasesLeft) == [LeasesLeft(1)]
    await desk.look_again()
    assert desk.let_go == [reference.handle], "once"


@at_a_desk
async def test_what_something_else_refers_to_stays(desk: Desk) -> None:
    desk.letters.now.append(await desk.give_up(b"also in another mail"))
    await desk.look_again()
    assert desk.let_go == []


@at_a_desk
async def test_a_block_that_is_needed_again_in_between_begins_anew(desk: Desk) -> None:
    reference = await desk.give_up(b"came back")
    assert await desk.ending.look()
    desk.letters.now.append(reference)
    await desk.look_again()
    desk.letters.now.clear()
    await desk.look_again(KEPT_SECONDS - 1)
    assert desk.let_go == []


@at_a_desk
async def test_a_block_that_is_stored_again_stays_before_any_record_says_so(desk: Desk) -> None:
    reference = await desk.give_up(b"attached again")
    assert await desk.ending.look()
    await settle(KEPT_SECONDS)
    assert (await desk.messages.store(b"attached again")).reference == reference
    assert await desk.ending.look()
    assert desk.let_go == []


@at_a_desk
async def test_a_block_that_is_read_stays_as_somebody_may_come_to_refer_to_it(desk: Desk) -> None:
    reference = await desk.give_up(b"in a notice")
    assert await desk.ending.look()
    await settle(KEPT_SECONDS)
    assert await desk.messages.fetch(reference) == b"in a notice"
    assert await desk.ending.look()
    assert desk.let_go == []


@at_a_desk
async def test_a_chunk_that_another_long_message_has_too_stays(desk: Desk) -> None:
    shared = bytes(range(256)) * 4096
    gone = await desk.give_up(shared + bytes(4 * MIB), Secrecy.ACCOUNT)
    stays = await desk.give_up(shared + b"b" * (4 * MIB), Secrecy.ACCOUNT)
    desk.letters.now.append(stays)
    kept = set(await desk.messages.handles_of(stays))
    gone_handles = set(await desk.messages.handles_of(gone))
    assert len(gone_handles & kept) == 1
    await desk.look_again()
    assert set(desk.let_go) == gone_handles - kept


@at_a_desk
async def test_nothing_is_let_go_while_another_device_may_say_otherwise(desk: Desk) -> None:
    reference = await desk.give_up(b"perhaps copied elsewhere")
    assert await desk.ending.look()
    await settle(KEPT_SECONDS)
    desk.has_read_siblings = False
    assert not await desk.ending.look()
    assert desk.let_go == []
    assert len(desk.alice.observer.of(LeasesNotJudged)) == 1
    desk.has_read_siblings = True
    assert await desk.ending.look()
    assert desk.let_go == [reference.handle]


@at_a_desk
async def test_nothing_is_let_go_if_it_cannot_be_told_what_is_needed(desk: Desk) -> None:
    await desk.give_up(b"the index is made anew")
    assert await desk.ending.look()
    await settle(KEPT_SECONDS)
    desk.letters.error = UnavailableError("the index is made anew")
    assert not await desk.ending.look()
    assert desk.let_go == []


@at_a_desk
async def test_a_restart_forgets_neither_the_blocks_nor_since_when(desk: Desk) -> None:
    reference = await desk.give_up(b"noted")
    assert await desk.ending.look()
    await settle(KEPT_SECONDS / 2)
    await desk.alice.stop()
    await desk.start()
    await settle(KEPT_SECONDS / 2)
    assert await desk.ending.look()
    assert desk.let_go == [reference.handle]
    await desk.alice.stop()
    await desk.start()
    assert desk.alice.disk.notes(unneeded.TABLE) == []


@at_a_desk
async def test_more_blocks_than_are_noted_at_a_time_go_one_load_after_the_other(
    desk: Desk,
) -> None:
    references = [await desk.give_up(bytes([number])) for number in range(7)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unneeded, "UNNEEDED_MAX", 3)
        await desk.look_again()
        assert len(desk.let_go) == 3
        await desk.look_again()
        await desk.look_again()
    assert set(desk.let_go) == {reference.handle for reference in references}
