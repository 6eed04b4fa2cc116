"""What a session knows of its folder, and when it is told more."""

import asyncio

import pytest

from epost.apps.mail.mailbox import Appended, FlagChange, FolderGone
from epost.servers.imap.opened_mail import OpenedMail
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.sequences import LAST, NumberSet
from epost.servers.imap.view import FolderView
from tests.support.imap_dialogue import mail_about, put
from tests.support.memory_mailstore import MemoryFolder, MemoryMail


def folder_of(count: int) -> MemoryFolder:
    async def build() -> MemoryFolder:
        mail = MemoryMail()
        for number in range(count):
            await put(mail, mail_about(str(number)))
        return mail.folder("INBOX")

    return asyncio.run(build())


def view_of(folder: MemoryFolder) -> FolderView:
    return FolderView(folder, "INBOX", is_read_only=False, unclaimed=0)


def delete(folder: MemoryFolder, *uids: int) -> None:
    async def run() -> None:
        await folder.change_flags(uids, FlagChange.ADD, frozenset({"\\Deleted"}))
        await folder.expunge(uids)

    asyncio.run(run())


def add(folder: MemoryFolder) -> None:
    asyncio.run(folder.copy([1], "INBOX"))


def test_expunges_wait_until_they_may_be_told() -> None:
    folder = folder_of(4)
    view = view_of(folder)
    delete(folder, 2, 3)
    waiting = view.announce(may_expunge=False)
    assert (waiting.expunged_numbers, view.exists) == ([], 4)
    told = view.announce(may_expunge=True)
    assert told.expunged_numbers == [3, 2]
    assert told.expunged_uids == [2, 3]
    assert list(view.uids()) == [1, 4]
    assert view.recent == 2


def test_a_message_that_came_and_went_unannounced_is_never_told() -> None:
    folder = folder_of(1)
    view = view_of(folder)
    add(folder)
    delete(folder, 2)
    assert view.announce(may_expunge=True).exists is None


def test_new_messages_are_told_once_and_count_as_recent_for_one_session() -> None:
    folder = folder_of(1)
    first, second = view_of(folder), view_of(folder)
    add(folder)
    assert first.announce(may_expunge=False).exists == 2
    assert first.announce(may_expunge=False).exists is None
    assert second.announce(may_expunge=False).recent == 0
    assert first.is_recent(2)
    assert not second.is_recent(2)


def test_uids_that_come_late_wait_for_the_next_select() -> None:
    folder = folder_of(2)
    view = view_of(folder)
    folder.tell(Appended([5]))
    folder.tell(Appended([4]))
    assert view.announce(may_expunge=False).exists == 4
    folder.tell(Appended([3]))
    assert view.announce(may_expunge=False).exists is None
    assert list(view.uids()) == [1, 2, 4, 5]


def test_a_closed_view_hears_nothing() -> None:
    folder = folder_of(1)
    view = view_of(folder)
    woken: list[None] = []
    view.when_changed(lambda: woken.append(None))
    add(folder)
    view.close()
    add(folder)
    assert len(woken) == 1
    assert view.announce(may_expunge=True).exists == 2


def test_a_folder_that_is_gone_is_noticed() -> None:
    folder = folder_of(1)
    view = view_of(folder)
    folder.tell(FolderGone())
    assert view.farewell is not None


def test_sets_are_resolved_to_known_uids() -> None:
    folder = folder_of(5)
    delete(folder, 2)
    view = view_of(folder)
    by_number = view.resolve(NumberSet(((1, 2), (LAST, LAST), (2, 3))), by_uid=False)
    assert list(by_number) == [1, 3, 4, 5]
    assert list(view.resolve(NumberSet(((2, 2), (5, 99))), by_uid=True)) == [5]
    assert list(view.resolve(NumberSet(((7, LAST),)), by_uid=True)) == [5]
    with pytest.raises(ImapSyntaxError):
        view.resolve(NumberSet(((5, 6),)), by_uid=False)


def test_only_the_last_mail_is_kept_open() -> None:
    view = view_of(folder_of(2))
    first, second = OpenedMail(b"a"), OpenedMail(b"b")
    view.keep_opened(1, first)
    assert view.opened_mail(1) is first
    view.keep_opened(2, second)
    assert view.opened_mail(1) is None
