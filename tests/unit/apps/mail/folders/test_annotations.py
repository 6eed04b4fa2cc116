"""Notes about folders and about the account, and when mails came to where they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from epost.apps.mail.folders import annotations as annotations_module
from epost.apps.mail.folders.account_changes import AccountChange, AnnotationChanged
from epost.apps.mail.folders.annotations import ANNOTATIONS_PER_FOLDER_MAX
from epost.apps.mail.log.fold import INBOX_ID
from epost.apps.mail.log.records import (
    ANNOTATION_BYTES_MAX,
    FIRST,
    Annotate,
    Save,
    Stamp,
    encode_record,
)
from epost.apps.mail.mailbox import MailTime, NewMail
from epost.foundation.errors import NoSuchFolder, QuotaExceeded, RefusedError
from epost.simulation.clock import run
from tests.support.mail import ALICE, Member, Origin, living, organisation, simple_mail

Scene = Callable[[Member], Awaitable[None]]
COMMENT = "/private/comment"


def play(scene: Scene) -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        async with living(alice):
            await scene(alice)

    run(story())


def test_notes_are_written_read_and_removed_and_told() -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        heard: list[AccountChange] = []
        mailbox.follow(heard.append)
        await mailbox.annotate("INBOX", {COMMENT: b"mine\0", "/shared/x": b""})
        await mailbox.annotate(None, {COMMENT: b"all"})
        assert await mailbox.annotations("INBOX") == {COMMENT: b"mine\0", "/shared/x": b""}
        assert await mailbox.annotations(None) == {COMMENT: b"all"}
        await mailbox.annotate("INBOX", {COMMENT: None, "/shared/x": b"", "/shared/no": None})
        assert await mailbox.annotations("INBOX") == {"/shared/x": b""}
        assert heard == [
            AnnotationChanged("INBOX", COMMENT),
            AnnotationChanged("INBOX", "/shared/x"),
            AnnotationChanged(None, COMMENT),
            AnnotationChanged("INBOX", COMMENT),
        ]

    play(scene)


def test_notes_follow_a_folder_that_is_renamed_and_end_with_it() -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        await mailbox.create("Box")
        await mailbox.annotate("Box", {COMMENT: b"x"})
        await mailbox.rename("Box", "New")
        assert await mailbox.annotations("New") == {COMMENT: b"x"}
        await mailbox.delete("New")
        await mailbox.create("New")
        assert await mailbox.annotations("New") == {}
        with pytest.raises(NoSuchFolder):
            await mailbox.annotations("Box")

    play(scene)


def test_notes_are_in_the_log_and_come_back_with_a_new_index() -> None:
    async def scene(alice: Member) -> None:
        await alice.mail.mailbox.annotate("INBOX", {COMMENT: b"x" * ANNOTATION_BYTES_MAX})
        alice.index.clear()
        await alice.restart()
        assert (await alice.mail.mailbox.annotations("INBOX"))[COMMENT][:1] == b"x"

    play(scene)


def test_what_a_folder_is_for_can_be_read_but_not_changed() -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        assert await mailbox.annotations("Sent") == {"/private/specialuse": b"\\Sent"}
        with pytest.raises(RefusedError):
            await mailbox.annotate("INBOX", {"/private/specialuse": b"\\Sent"})

    play(scene)


def test_there_is_room_for_so_many_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        most = {f"/private/{number}": b"1" for number in range(ANNOTATIONS_PER_FOLDER_MAX)}
        await mailbox.annotate("INBOX", most)
        with pytest.raises(QuotaExceeded):
            await mailbox.annotate("INBOX", {"/private/more": b"1"})
        monkeypatch.setattr(annotations_module, "ANNOTATED_BYTES_MAX", 2000)
        await mailbox.annotate("Sent", {COMMENT: b"x" * 100})
        with pytest.raises(QuotaExceeded):
            await mailbox.annotate("Sent", {COMMENT: b"x" * 900})
        monkeypatch.setattr(annotations_module, "ANNOTATIONS_MAX", ANNOTATIONS_PER_FOLDER_MAX + 1)
        await mailbox.annotate("Sent", {COMMENT: None})
        with pytest.raises(QuotaExceeded):
            await mailbox.annotate("Sent", {"/private/other": b"1"})

    play(scene)


def test_a_mail_was_saved_when_it_came_to_its_folder_not_when_it_was_received() -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        inbox, archive = await mailbox.open("INBOX"), await mailbox.open("Archive")
        times = [alice.clock.wall_ms() // 1000]
        await inbox.append([NewMail(simple_mail(), internal_date=MailTime(1))] * 2)
        alice.clock.seconds += 100
        times.append(alice.clock.wall_ms() // 1000)
        await inbox.move([1], "Archive")
        alice.clock.seconds += 100
        times.append(alice.clock.wall_ms() // 1000)
        await inbox.copy([2], "Archive")
        assert await inbox.save_dates([1, 2, 3]) == {2: times[0]}
        assert await archive.save_dates([1, 2]) == {1: times[1], 2: times[2]}

    play(scene)


def test_notes_of_other_devices_show_and_the_latest_counts() -> None:
    async def scene(alice: Member) -> None:
        mailbox = alice.mail.mailbox
        await mailbox.annotate("INBOX", {COMMENT: b"here"})
        sibling = Origin(2, b"s" * 16)
        heard: list[AccountChange] = []
        mailbox.follow(heard.append)
        early = Annotate(Stamp(0, 2), INBOX_ID, COMMENT, (b"too early",))
        await alice.siblings.hear(encode_record(early), sibling)
        assert await mailbox.annotations("INBOX") == {COMMENT: b"here"}
        late = Annotate(Stamp(99, 2), INBOX_ID, "/Private/Comment", (b"there",))
        await alice.siblings.hear(encode_record(late), sibling)
        assert await mailbox.annotations("INBOX") == {COMMENT: b"there"}
        await mailbox.annotate("INBOX", {COMMENT: None})
        assert await mailbox.annotations("INBOX") == {}
        assert [change for change in heard if isinstance(change, AnnotationChanged)]

    play(scene)


def test_of_two_devices_that_took_in_a_mail_the_first_says_when_it_was_saved() -> None:
    async def scene(alice: Member) -> None:
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([NewMail(simple_mail())])
        (row,) = await inbox.rows([1])
        (now,) = (await inbox.save_dates([1])).values()
        assert now is not None
        for seconds, expected in ((now + 5, now), (now - 5, now - 5)):
            save = Save(INBOX_ID, FIRST, seconds, (bytes.fromhex(row.email_id),))
            await alice.siblings.hear(encode_record(save), Origin(2, b"s" * 16))
            assert await inbox.save_dates([1]) == {1: expected}

    play(scene)
