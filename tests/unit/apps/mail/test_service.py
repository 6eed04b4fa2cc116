"""The mail service: its index follows the log, through restarts, losses and forks."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable

import pytest

from epost.apps.mail import service as service_module
from epost.apps.mail.folders.open_folder import OpenFolder
from epost.apps.mail.index import MailIndexDamaged
from epost.apps.mail.log.fold import INBOX_ID
from epost.apps.mail.log.records import (
    ChangeFlags,
    Expunge,
    Inline,
    Insert,
    ModseqRange,
    Move,
    Noticed,
    Stamp,
    decode_record,
    encode_record,
)
from epost.apps.mail.mailbox import (
    DELETED,
    SEEN,
    Appended,
    FlagChange,
    FolderChange,
    FolderGone,
    NewMail,
)
from epost.apps.mail.observed import MailIndexCaughtUp, MailIndexStuck, MailRecordSkipped
from epost.foundation.errors import DiskFull
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.mail import ALICE, Member, Origin, living, organisation, simple_mail

Scene = Callable[[Member, OpenFolder], Awaitable[None]]
SIBLING = Origin(2, b"s" * 16)


def play(scene: Scene) -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        async with living(alice):
            await scene(alice, await alice.mail.mailbox.open("INBOX"))

    run(story())


async def shown(alice: Member, name: str = "INBOX") -> list[tuple[int, frozenset[str], bytes]]:
    folder = await alice.mail.mailbox.open(name)
    rows = await folder.rows(folder.uids())
    return [(row.uid, row.flags, await folder.octets(row.uid)) for row in rows]


async def busy_day(alice: Member, inbox: OpenFolder) -> None:
    """Some of everything that gives and takes UIDs."""
    await inbox.append([NewMail(simple_mail(subject=str(number))) for number in range(6)])
    await inbox.change_flags([1, 2], FlagChange.ADD, frozenset({SEEN}))
    await inbox.move([2], "Archive")
    await inbox.copy([1, 3], "INBOX")
    await inbox.change_flags([4], FlagChange.ADD, frozenset({DELETED}))
    await inbox.expunge(None)
    archive = await alice.mail.mailbox.open("Archive")
    await archive.move([1], "INBOX")
    await alice.mail.mailbox.create("Work")
    await inbox.move([5], "Work")


def test_after_a_restart_everything_is_as_it_was() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await busy_day(alice, inbox)
        names = await alice.mail.mailbox.folders()
        before = [await shown(alice, info.name) for info in names]
        counters = [await alice.mail.mailbox.counters(info.name) for info in names]
        await alice.restart()
        assert await alice.mail.mailbox.folders() == names
        assert [await shown(alice, info.name) for info in names] == before
        assert [await alice.mail.mailbox.counters(info.name) for info in names] == counters
        assert alice.observer.of(MailIndexCaughtUp)[-1] == MailIndexCaughtUp(1, False)

    play(scene)


def test_a_rebuilt_index_gives_the_same_uids_and_newer_modseqs() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await busy_day(alice, inbox)
        names = await alice.mail.mailbox.folders()
        before = [await shown(alice, info.name) for info in names]
        old = [await alice.mail.mailbox.counters(info.name) for info in names]
        await alice.restart(SimulatedMailIndex())
        assert await alice.mail.mailbox.folders() == names
        assert [await shown(alice, info.name) for info in names] == before
        for info, counters in zip(names, old, strict=True):
            new = await alice.mail.mailbox.counters(info.name)
            assert new.uid_validity == counters.uid_validity
            assert new.uid_next == counters.uid_next
            assert new.highest_modseq > counters.highest_modseq
            folder = await alice.mail.mailbox.open(info.name)
            assert list(await folder.changed_since(counters.highest_modseq)) == list(folder.uids())

    play(scene)


def test_after_a_rebuild_every_missing_uid_counts_as_vanished() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await busy_day(alice, inbox)
        known = inbox.highest_modseq - 1
        missing = sorted(set(range(1, 10)) - set(inbox.uids()))
        await alice.restart(SimulatedMailIndex())
        inbox = await alice.mail.mailbox.open("INBOX")
        assert list(await inbox.vanished_since(known)) == missing
        assert list(await inbox.vanished_since(inbox.highest_modseq)) == []

    play(scene)


def test_an_index_that_lost_its_last_transactions_catches_up() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.append([NewMail(simple_mail())])
        assert isinstance(alice.index, SimulatedMailIndex)
        saved = copy.deepcopy(alice.index)
        await busy_day(alice, inbox)
        before, modseq = await shown(alice), inbox.highest_modseq
        await alice.restart(saved)
        assert await shown(alice) == before
        inbox = await alice.mail.mailbox.open("INBOX")
        assert inbox.highest_modseq > modseq
        caught_up = alice.observer.of(MailIndexCaughtUp)[-1]
        assert isinstance(caught_up, MailIndexCaughtUp)
        assert not caught_up.was_rebuilt
        assert caught_up.entries > 5

    play(scene)


def test_modseqs_are_reserved_before_they_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epost.apps.mail.service.MODSEQS_RESERVED", 8)
    monkeypatch.setattr("epost.apps.mail.log.journal.MODSEQS_RESERVED", 8)
    monkeypatch.setattr("epost.apps.mail.log.journal.MODSEQS_LEFT_MIN", 4)
    monkeypatch.setattr("epost.apps.mail.log.ledger.MODSEQS_LEFT_MIN", 4)

    def reserved(alice: Member) -> int:
        records = [decode_record(entry.payload) for entry in alice.log.entries]
        return max(record.end for record in records if isinstance(record, ModseqRange))

    async def scene(alice: Member, inbox: OpenFolder) -> None:
        for _ in range(50):
            await inbox.append([NewMail(b"x")])
            assert inbox.highest_modseq < reserved(alice)
            await asyncio.sleep(0.001)

    play(scene)


def test_what_other_devices_did_shows_when_this_one_has_numbered_it() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        heard: list[FolderChange] = []
        inbox.subscribe(heard.append)
        inserted = Insert(b"1" * 16, INBOX_ID, (), 1_600_000_000, 0, 1, Inline(b"1"))
        await alice.siblings.hear(encode_record(inserted), SIBLING)
        await asyncio.sleep(1)
        assert heard == [Appended([1])]
        assert await shown(alice) == [(1, frozenset(), b"1")]
        flagged = ChangeFlags(Stamp(50, 2), (b"1" * 16,), (SEEN,), ())
        await alice.siblings.hear(encode_record(flagged), SIBLING)
        await asyncio.sleep(1)
        assert await shown(alice) == [(1, frozenset({SEEN}), b"1")]
        await inbox.change_flags([1], FlagChange.REMOVE, frozenset({SEEN}))
        assert await shown(alice) == [(1, frozenset(), b"1")], "ours is later than what we saw"

    play(scene)


def test_a_mail_moved_away_by_another_device_vanishes_here_and_appears_there() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.append([NewMail(b"1")])
        (row,) = await inbox.rows([1])
        archive = await alice.mail.mailbox.open("Archive")
        to = next(i.folder_id for i in await alice.mail.mailbox.folders() if i.name == "Archive")
        moved = Move(Stamp(90, 2), (bytes.fromhex(row.email_id),), bytes.fromhex(to))
        await alice.siblings.hear(encode_record(moved), SIBLING)
        await asyncio.sleep(1)
        assert list(inbox.uids()) == []
        assert list(archive.uids()) == [1]
        expunged = Expunge((bytes.fromhex(row.email_id),))
        await alice.siblings.hear(encode_record(expunged), SIBLING)
        await asyncio.sleep(1)
        assert list(archive.uids()) == []

    play(scene)


def test_a_record_of_a_later_version_is_passed_over() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        unreadable = Insert(b"1" * 16, INBOX_ID, (), 0, 0, 1, Noticed(b"no notice"))
        for payload in (b"\x63 from the future", encode_record(unreadable)):
            await alice.log.append([Entry(AppId.MAIL, payload)])
        await inbox.append([NewMail(b"x")])
        assert await shown(alice) == [(1, frozenset(), b"x")]
        assert len(alice.observer.of(MailRecordSkipped)) == 2
        await alice.restart(SimulatedMailIndex())
        assert await shown(alice) == [(1, frozenset(), b"x")]

    play(scene)


def test_entries_that_come_while_the_log_is_read_are_not_lost() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.append([NewMail(b"%d" % number) for number in range(250)])
        await alice.mail.stop()
        alice.log.restart()
        alice.index = SimulatedMailIndex()
        alice.build()
        starting = asyncio.create_task(alice.start())
        inserted = [
            Insert(b"%16d" % number, INBOX_ID, (), 0, 0, 1, Inline(b"n")) for number in range(20)
        ]
        for record in inserted:
            await asyncio.sleep(0.0)
            await alice.log.append([Entry(AppId.MAIL, encode_record(record))])
        await starting
        await asyncio.sleep(1)
        inbox = await alice.mail.mailbox.open("INBOX")
        assert len(inbox.uids()) == 270

    play(scene)


def test_too_much_while_the_log_is_read_is_read_from_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        monkeypatch.setattr(service_module, "LIVE_WAITING_MAX", 3)
        await inbox.append([NewMail(b"%d" % number) for number in range(50)])
        await alice.mail.stop()
        alice.log.restart()
        alice.index = SimulatedMailIndex()
        alice.build()
        starting = asyncio.create_task(alice.start())
        for number in range(10):
            await asyncio.sleep(0)
            record = Insert(b"%16d" % number, INBOX_ID, (), 0, 0, 1, Inline(b"n"))
            await alice.log.append([Entry(AppId.MAIL, encode_record(record))])
        await starting
        await asyncio.sleep(1)
        assert len((await alice.mail.mailbox.open("INBOX")).uids()) == 60

    play(scene)


def test_a_log_that_goes_on_in_another_incarnation_is_numbered_anew() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await busy_day(alice, inbox)
        heard: list[FolderChange] = []
        inbox.subscribe(heard.append)
        before = sorted(octets for _, _, octets in await shown(alice))
        old = await alice.mail.mailbox.counters("INBOX")
        # Two entries that only this disk had are logged again, behind one of the other disk.
        lost = alice.log.entries[-2:]
        del alice.log.entries[-2:]
        alice.log.origin = Origin(1, b"new" + bytes(13))
        theirs = Insert(b"t" * 16, INBOX_ID, (), 0, 0, 6, Inline(b"theirs"))
        await alice.log.append([Entry(AppId.MAIL, encode_record(theirs)), *lost])
        await asyncio.sleep(1)
        assert heard[-1] == FolderGone()
        new = await alice.mail.mailbox.counters("INBOX")
        assert new.uid_validity > old.uid_validity
        after = await shown(alice)
        assert sorted(octets for _, _, octets in after) == sorted([*before, b"theirs"])
        await alice.restart(SimulatedMailIndex())
        assert await shown(alice) == after
        counters = await alice.mail.mailbox.counters("INBOX")
        assert counters.uid_validity == new.uid_validity
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([NewMail(b"more")])
        assert inbox.uids()[-1] == new.uid_next

    play(scene)


def test_numbering_anew_is_tried_until_there_is_room() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.append([NewMail(b"one")])
        old = await alice.mail.mailbox.counters("INBOX")
        alice.log.origin = Origin(1, b"new" + bytes(13))
        await alice.log.append([Entry(AppId.MAIL, encode_record(Expunge((b"x" * 16,))))])
        alice.log.error = DiskFull("no room")
        await asyncio.sleep(60)
        assert len(alice.observer.of(MailIndexStuck)) > 1
        alice.log.error = None
        await asyncio.sleep(60)
        assert (await alice.mail.mailbox.counters("INBOX")).uid_validity > old.uid_validity
        assert await shown(alice) == [(1, frozenset(), b"one")]

    play(scene)


def test_a_fork_found_at_the_start_is_numbered_anew_too() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.append([NewMail(b"one")])
        old = await alice.mail.mailbox.counters("INBOX")
        alice.log.origin = Origin(1, b"new" + bytes(13))
        await alice.restart()
        new = await alice.mail.mailbox.counters("INBOX")
        assert new.uid_validity > old.uid_validity
        assert await shown(alice) == [(1, frozenset(), b"one")]
        await alice.restart()
        assert await alice.mail.mailbox.counters("INBOX") == new

    play(scene)


def test_a_log_restored_from_a_backup_under_a_newer_index_is_numbered_anew() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.append([NewMail(b"kept")])
        backup = list(alice.log.entries)
        await inbox.append([NewMail(b"lost %d" % number) for number in range(9)])
        old = await alice.mail.mailbox.counters("INBOX")
        alice.log.entries[:] = backup
        await alice.restart()
        new = await alice.mail.mailbox.counters("INBOX")
        assert new.uid_validity > old.uid_validity
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([NewMail(b"new")])
        assert [octets for _, _, octets in await shown(alice)] == [b"kept", b"new"]
        await alice.restart()
        assert (await alice.mail.mailbox.counters("INBOX")).uid_validity == new.uid_validity

    play(scene)


def test_a_start_without_room_fails_and_says_so() -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        alice.log.error = DiskFull("no room")
        with pytest.raises(DiskFull):
            await alice.start()

    run(story())


class FullIndex(SimulatedMailIndex):
    """Refuses to write for a while."""

    error: DiskFull | MailIndexDamaged | None = None

    def commit(self, batch: object) -> None:
        if self.error is not None:
            raise self.error
        super().commit(batch)  # type: ignore[arg-type]


def test_what_the_index_could_not_take_is_tried_again() -> None:
    async def scene(alice: Member, _: OpenFolder) -> None:
        index = FullIndex()
        await alice.restart(index)
        inbox = await alice.mail.mailbox.open("INBOX")
        index.error = DiskFull("no room")
        with pytest.raises(DiskFull):
            await inbox.append([NewMail(b"one")])
        assert len(alice.observer.of(MailIndexStuck)) == 1
        assert list(inbox.uids()) == []
        index.error = None
        await inbox.append([NewMail(b"two")])
        assert [octets for _, _, octets in await shown(alice)] == [b"one", b"two"]

    play(scene)
