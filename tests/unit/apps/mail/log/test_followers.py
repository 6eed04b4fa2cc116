"""Who follows a whole account hears of every change that shows, and of no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from epost.apps.mail.folders.account_changes import (
    AccountChange,
    FolderNamed,
    MessagesChanged,
    SubscriptionChanged,
)
from epost.apps.mail.log.followers import renamings
from epost.apps.mail.mailbox import DELETED, SEEN, FlagChange, NewMail
from epost.simulation.clock import run
from tests.support.mail import ALICE, Member, living, organisation, simple_mail

Scene = Callable[[Member, list[AccountChange]], Awaitable[None]]


def play(scene: Scene) -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        async with living(alice):
            heard: list[AccountChange] = []
            stop = alice.mail.mailbox.follow(heard.append)
            await scene(alice, heard)
            stop()
            await alice.mail.mailbox.create("after the end")
            assert all(getattr(change, "name", "") != "after the end" for change in heard)

    run(story())


def test_mails_that_come_change_and_go_are_told_with_their_folder() -> None:
    async def scene(alice: Member, heard: list[AccountChange]) -> None:
        inbox = await alice.mail.mailbox.open("INBOX")
        (info, *_) = await alice.mail.mailbox.folders()
        await inbox.append([NewMail(simple_mail())])
        await inbox.change_flags([1], FlagChange.ADD, frozenset({SEEN, DELETED}))
        await inbox.expunge(None)
        assert heard == [
            MessagesChanged(info.folder_id, "INBOX", have_come=True),
            MessagesChanged(info.folder_id, "INBOX", have_new_flags=True),
            MessagesChanged(info.folder_id, "INBOX", have_gone=True),
        ]

    play(scene)


def test_names_are_told_as_they_show() -> None:
    async def scene(alice: Member, heard: list[AccountChange]) -> None:
        mailbox = alice.mail.mailbox
        box = (await mailbox.create("Box")).folder_id
        below = (await mailbox.create("Box/below")).folder_id
        await mailbox.rename("Box", "New")
        await mailbox.delete("New")
        assert heard == [
            FolderNamed(box, None, "Box"),
            FolderNamed(below, None, "Box/below"),
            FolderNamed(box, "Box", "New"),
            FolderNamed(below, "Box/below", "New/below"),
            FolderNamed(box, "New", None),
        ]

    play(scene)


def test_subscriptions_are_told_when_they_change() -> None:
    async def scene(alice: Member, heard: list[AccountChange]) -> None:
        await alice.mail.mailbox.set_subscribed("nowhere", True)
        await alice.mail.mailbox.set_subscribed("nowhere", True)
        await alice.mail.mailbox.set_subscribed("Sent", False)
        assert heard == [SubscriptionChanged("nowhere", True), SubscriptionChanged("Sent", False)]

    play(scene)


def test_a_name_that_passes_from_one_folder_to_another_goes_before_it_comes() -> None:
    before, after = {"a": b"\1", "b": b"\2"}, {"a": b"\2"}
    assert list(renamings(before, after)) == [
        FolderNamed("01", "a", None),
        FolderNamed("02", "b", "a"),
    ]
