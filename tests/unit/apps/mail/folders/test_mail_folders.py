"""Folders of an account: listed, made, renamed, removed, subscribed, opened."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import pytest

from epost.apps.mail.folders import mail_folders as folders_module
from epost.apps.mail.mailbox import (
    FLAGGED,
    FOLDER_NAME_LENGTH_MAX,
    INBOX,
    SEEN,
    FlagChange,
    FolderChange,
    FolderGone,
    NewMail,
    SpecialUse,
)
from epost.foundation.errors import FolderExists, NoSuchFolder, NotPermitted, RefusedError
from epost.simulation.clock import run
from tests.support.mail import ALICE, Member, living, organisation, simple_mail

Scene = Callable[[Member], Awaitable[None]]
DEFAULTS = ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]


def play(scene: Scene) -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        async with living(alice):
            await scene(alice)

    run(story())


async def names(alice: Member) -> list[str]:
    return [info.name for info in await alice.mail.mailbox.folders()]


async def put(alice: Member, name: str, count: int = 1) -> None:
    folder = await alice.mail.mailbox.open(name)
    await folder.append([NewMail(simple_mail())] * count)


def test_an_account_begins_with_the_usual_folders() -> None:
    async def scene(alice: Member) -> None:
        infos = {info.name: info.special_use for info in await alice.mail.mailbox.folders()}
        assert list(infos) == DEFAULTS
        assert infos["INBOX"] is None
        assert infos["Drafts"] is SpecialUse.DRAFTS
        assert await alice.mail.mailbox.subscriptions() == set(DEFAULTS)

    play(scene)


def test_folders_have_different_ids_and_uid_validities() -> None:
    async def scene(alice: Member) -> None:
        every = [await alice.mail.mailbox.counters(name) for name in DEFAULTS]
        assert len({counters.folder_id for counters in every}) == len(DEFAULTS)
        assert len({counters.uid_validity for counters in every}) == len(DEFAULTS)
        assert all(counters.highest_modseq >= 1 for counters in every)

    play(scene)


def test_a_folder_is_made_with_its_use_and_kept() -> None:
    async def scene(alice: Member) -> None:
        info = await alice.mail.mailbox.create("Work/2024", SpecialUse.ARCHIVE)
        await alice.restart()
        assert info in await alice.mail.mailbox.folders()
        assert info.special_use is SpecialUse.ARCHIVE
        with pytest.raises(FolderExists):
            await alice.mail.mailbox.create("Work/2024")

    play(scene)


@pytest.mark.parametrize(
    "name", ["", "/", "a//b", "/a", "a/", "a\nb", "a\0", "x" * (FOLDER_NAME_LENGTH_MAX + 1)]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    async def scene(alice: Member) -> None:
        with pytest.raises(RefusedError):
            await alice.mail.mailbox.create(name)
        with pytest.raises(RefusedError):
            await alice.mail.mailbox.set_subscribed(name, True)

    play(scene)


def test_names_are_one_whatever_their_normal_form() -> None:
    async def scene(alice: Member) -> None:
        await alice.mail.mailbox.create("Gru\u0308ße")
        with pytest.raises(FolderExists):
            await alice.mail.mailbox.create("Gr\u00fcße")
        with pytest.raises(FolderExists):
            await alice.mail.mailbox.create("inbox")

    play(scene)


def test_a_folder_made_again_is_another_one() -> None:
    async def scene(alice: Member) -> None:
        first = await alice.mail.mailbox.create("Work")
        old = await alice.mail.mailbox.counters("Work")
        await put(alice, "Work")
        await alice.mail.mailbox.delete("Work")
        second = await alice.mail.mailbox.create("Work")
        new = await alice.mail.mailbox.counters("Work")
        assert second.folder_id != first.folder_id
        assert new.uid_validity > old.uid_validity
        assert new.messages == 0

    play(scene)


def test_a_removed_folder_is_gone_with_its_mail_and_its_sessions_hear_it() -> None:
    async def scene(alice: Member) -> None:
        await alice.mail.mailbox.create("Work")
        await alice.mail.mailbox.create("Work/2024")
        await put(alice, "Work", 3)
        work = await alice.mail.mailbox.open("Work")
        heard: list[FolderChange] = []
        work.subscribe(heard.append)
        await alice.mail.mailbox.delete("Work")
        assert heard[-1] == FolderGone()
        assert await names(alice) == [*DEFAULTS, "Work/2024"]
        for looking in (alice.mail.mailbox.open, alice.mail.mailbox.counters):
            with pytest.raises(NoSuchFolder):
                await looking("Work")
        await alice.restart()
        assert "Work" not in await names(alice)

    play(scene)


def test_the_inbox_cannot_be_removed_and_unknown_folders_neither() -> None:
    async def scene(alice: Member) -> None:
        with pytest.raises(NotPermitted):
            await alice.mail.mailbox.delete(INBOX)
        with pytest.raises(NoSuchFolder):
            await alice.mail.mailbox.delete("Work")

    play(scene)


def test_renaming_takes_everything_below_along_and_keeps_uids() -> None:
    async def scene(alice: Member) -> None:
        for name in ("Work", "Work/2023", "Work/2023/May", "Workshop"):
            await alice.mail.mailbox.create(name)
        await put(alice, "Work/2023", 2)
        before = await alice.mail.mailbox.counters("Work/2023")
        opened = await alice.mail.mailbox.open("Work/2023")
        await alice.mail.mailbox.rename("Work", "Old/Labour")
        assert await names(alice) == sorted(
            [*DEFAULTS, "Old/Labour", "Old/Labour/2023", "Old/Labour/2023/May", "Workshop"],
            key=lambda name: (name != INBOX, name),
        )
        assert await alice.mail.mailbox.counters("Old/Labour/2023") == before
        assert await alice.mail.mailbox.open("Old/Labour/2023") is opened

    play(scene)


def test_a_folder_may_be_renamed_below_itself() -> None:
    async def scene(alice: Member) -> None:
        for name in ("a", "a/b"):
            await alice.mail.mailbox.create(name)
        await alice.mail.mailbox.rename("a", "a/x")
        assert {"a/x", "a/x/b"} <= set(await names(alice))
        assert "a" not in await names(alice)

    play(scene)


def test_a_parent_that_exists_only_by_its_children_is_renamed_with_them() -> None:
    async def scene(alice: Member) -> None:
        for name in ("a/b/c", "a/d"):
            await alice.mail.mailbox.create(name)
        await alice.mail.mailbox.rename("a/b", "a/x")
        await alice.mail.mailbox.rename("a", "new")
        assert set(await names(alice)) - set(DEFAULTS) == {"new/x/c", "new/d"}
        with pytest.raises(FolderExists):
            await alice.mail.mailbox.rename("new", "Trash")

    play(scene)


@pytest.mark.parametrize("target", ["b", "a", "INBOX", "inbox", "a/below"])
def test_renaming_never_replaces_a_folder(target: str) -> None:
    async def scene(alice: Member) -> None:
        for name in ("a", "a/below", "b", "c/below"):
            await alice.mail.mailbox.create(name)
        with pytest.raises(FolderExists):
            await alice.mail.mailbox.rename("a", target)
        with pytest.raises(FolderExists):
            await alice.mail.mailbox.rename("a", "c")
        with pytest.raises(NoSuchFolder):
            await alice.mail.mailbox.rename("nothing", "d")

    play(scene)


def test_the_inbox_gives_its_mail_away_instead_of_its_name() -> None:
    async def scene(alice: Member) -> None:
        await put(alice, INBOX, 3)
        await alice.mail.mailbox.rename(INBOX, "Old mail")
        assert (await alice.mail.mailbox.counters(INBOX)).messages == 0
        old = await alice.mail.mailbox.open("Old mail")
        assert list(old.uids()) == [1, 2, 3]
        assert await old.octets(3) == simple_mail()

    play(scene)


def test_names_are_subscribed_whether_there_is_a_folder_or_not() -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        await mailbox.set_subscribed("Lists/python", True)
        await mailbox.set_subscribed("Trash", False)
        logged = len(alice.log.entries)
        await mailbox.set_subscribed("Trash", False)
        await mailbox.set_subscribed("Never heard of", False)
        assert len(alice.log.entries) == logged
        expected = {*DEFAULTS, "Lists/python"} - {"Trash"}
        assert await mailbox.subscriptions() == expected
        await alice.restart()
        assert await alice.mail.mailbox.subscriptions() == expected

    play(scene)


def test_folders_and_subscriptions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(alice: Member) -> None:
        monkeypatch.setattr(folders_module, "FOLDERS_MAX", len(DEFAULTS) + 1)
        monkeypatch.setattr(folders_module, "SUBSCRIPTIONS_MAX", len(DEFAULTS) + 1)
        await alice.mail.mailbox.create("one more")
        await alice.mail.mailbox.set_subscribed("one more", True)
        with pytest.raises(RefusedError):
            await alice.mail.mailbox.create("too many")
        with pytest.raises(RefusedError):
            await alice.mail.mailbox.set_subscribed("too many", True)

    play(scene)


def test_counters_follow_every_change() -> None:
    async def scene(alice: Member) -> None:
        await put(alice, INBOX, 3)
        inbox = await alice.mail.mailbox.open(INBOX)
        await inbox.change_flags([1], FlagChange.ADD, frozenset({SEEN}))
        await inbox.change_flags([3], FlagChange.ADD, frozenset({"\\Deleted", FLAGGED}))
        counters = await alice.mail.mailbox.counters(INBOX)
        size = len(simple_mail())
        assert (counters.messages, counters.unseen, counters.deleted) == (3, 2, 1)
        assert (counters.size, counters.uid_next, inbox.first_unseen()) == (3 * size, 4, 2)
        assert counters.highest_modseq == inbox.highest_modseq
        await inbox.expunge(None)
        counters = await alice.mail.mailbox.counters(INBOX)
        assert (counters.messages, counters.unseen, counters.deleted) == (2, 1, 0)
        assert (counters.size, counters.uid_next) == (2 * size, 4)

    play(scene)


def test_opening_twice_gives_the_same_folder_until_nobody_wants_it() -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        inbox = await mailbox.open(INBOX)
        assert await mailbox.open(INBOX) is inbox
        del inbox
        for name in DEFAULTS[1:]:
            await mailbox.open(name)
        gc.collect()
        await put(alice, INBOX)
        inbox = await mailbox.open(INBOX)
        assert list(inbox.uids()) == [1]

    play(scene)
