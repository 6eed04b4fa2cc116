"""A folder at a time: what all devices had logged by then, and nothing that came after."""

from __future__ import annotations

import pytest

from epost.apps.mail.folders.past_folder import PastFolder, folder_at
from epost.apps.mail.mailbox import FLAGGED, SEEN, FlagChange, NewMail
from epost.foundation.errors import NoSuchMail
from epost.simulation.clock import run
from tests.support.mail import simple_mail
from tests.support.post_world import World, settle
from tests.unit.apps.mail.test_mail_over_post import Desk

GAP_SECONDS = 200.0


async def desk_with_time(**config: float) -> tuple[World, Desk]:
    world = World(**{"time_mark_seconds": 60.0, **config})
    desk = Desk(world.enrol("alice"))
    await desk.start()
    await settle(GAP_SECONDS)
    return world, desk


def now_ms(desk: Desk) -> int:
    return desk.machine.ports.clock.wall_ms()


async def moment(desk: Desk) -> int:
    """Return a time with nothing near it."""
    await settle(GAP_SECONDS)
    at_ms = now_ms(desk)
    await settle(GAP_SECONDS)
    return at_ms


async def at(desk: Desk, name: str, at_ms: int) -> PastFolder:
    assert desk.machine.post is not None
    return await folder_at(desk.machine.post.history, name, at_ms)


def test_a_folder_is_shown_as_it_was_at_each_time() -> None:
    async def story() -> None:
        world, desk = await desk_with_time()
        inbox = await desk.mail.mailbox.open("INBOX")
        empty = await moment(desk)
        await inbox.append([NewMail(simple_mail(subject="one")), NewMail(simple_mail(subject="2"))])
        two = await moment(desk)
        await inbox.change_flags([1], FlagChange.ADD, frozenset({SEEN, FLAGGED}))
        flagged = await moment(desk)
        await inbox.move([2], "Archive")
        moved = await moment(desk)
        await inbox.change_flags([1], FlagChange.ADD, frozenset({r"\Deleted"}))
        await inbox.expunge([1])
        gone = await moment(desk)
        assert not (await at(desk, "INBOX", empty)).mails
        assert [m.flags for m in (await at(desk, "INBOX", two)).mails] == [frozenset()] * 2
        assert (await at(desk, "inbox", flagged)).mails[0].flags == {SEEN, FLAGGED}
        assert len((await at(desk, "INBOX", moved)).mails) == 1
        (archived,) = (await at(desk, "Archive", moved)).mails
        assert archived.size == len(simple_mail(subject="2"))
        assert not (await at(desk, "Archive", flagged)).mails
        past = await at(desk, "INBOX", gone)
        assert not past.mails
        assert not past.undated
        await world.stop()

    run(story())


def test_what_other_devices_had_done_by_then_counts_as_well() -> None:
    async def story() -> None:
        world, desk = await desk_with_time()
        inbox = await desk.mail.mailbox.open("INBOX")
        await inbox.append([NewMail(simple_mail())])
        other = Desk(await world.recover(desk.machine, revoke=False))
        await other.start()
        before = await moment(desk)
        theirs = await other.mail.mailbox.open("INBOX")
        await theirs.change_flags(list(theirs.uids()), FlagChange.ADD, frozenset({FLAGGED}))
        after = await moment(desk)
        for asked in (desk, other):
            assert (await at(asked, "INBOX", before)).mails[0].flags == frozenset()
            assert (await at(asked, "INBOX", after)).mails[0].flags == {FLAGGED}
        await world.stop()

    run(story())


def test_folders_have_the_names_that_they_had() -> None:
    async def story() -> None:
        world, desk = await desk_with_time()
        before = await moment(desk)
        await desk.mail.mailbox.create("Work")
        work = await desk.mail.mailbox.open("Work")
        await work.append([NewMail(simple_mail())])
        named = await moment(desk)
        await desk.mail.mailbox.rename("Work", "Labour")
        renamed = await moment(desk)
        for name, at_ms in (("Work", before), ("Labour", named), ("Work", renamed)):
            with pytest.raises(NoSuchMail):
                await at(desk, name, at_ms)
        assert len((await at(desk, "Work", named)).mails) == 1
        assert len((await at(desk, "Labour", renamed)).mails) == 1
        await world.stop()

    run(story())


def test_records_of_a_former_version_are_older_and_counted() -> None:
    async def story() -> None:
        world, desk = await desk_with_time(time_mark_seconds=1e12)
        inbox = await desk.mail.mailbox.open("INBOX")
        await inbox.append([NewMail(simple_mail())])
        past = await at(desk, "INBOX", 1)
        assert len(past.mails) == 1
        assert past.undated
        await world.stop()

    run(story())
