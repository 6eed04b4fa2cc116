"""An open folder: what clients list, read, change, and hear of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from epost.apps.mail.folders.open_folder import OpenFolder
from epost.apps.mail.log.records import NAMES_PER_RECORD_MAX
from epost.apps.mail.mailbox import (
    DELETED,
    FLAGGED,
    KEYWORDS_PER_FOLDER_MAX,
    MAIL_SIZE_BYTES_MAX,
    SEEN,
    Appended,
    Durability,
    Expunged,
    FlagChange,
    FlagsChanged,
    FolderChange,
    MailTime,
    NewMail,
    TextMatch,
    TextPlace,
)
from epost.foundation.errors import (
    DiskFull,
    MessageTooLarge,
    NoSuchFolder,
    NoSuchMail,
    RefusedError,
    UnavailableError,
)
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.large_octets import Zeros
from tests.support.mail import ALICE, HELD, Member, living, organisation, simple_mail

Scene = Callable[[Member, OpenFolder], Awaitable[None]]
SMALL, LARGE = simple_mail(), simple_mail(body="x" * 40_000)


def play(scene: Scene, *mails: bytes) -> None:
    """Run a scene with an account and its INBOX, in which these mails are."""

    async def story() -> None:
        (alice,) = organisation(ALICE)
        async with living(alice):
            inbox = await alice.mail.mailbox.open("INBOX")
            if mails:
                await inbox.append([NewMail(octets) for octets in mails])
            await scene(alice, inbox)

    run(story())


def listen(folder: OpenFolder) -> list[FolderChange]:
    heard: list[FolderChange] = []
    folder.subscribe(heard.append)
    return heard


async def flags_of(folder: OpenFolder) -> list[set[str]]:
    return [set(row.flags) for row in await folder.rows(folder.uids())]


def test_appended_mails_have_rows_in_the_order_in_which_they_came() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        date = MailTime(1_600_000_000, -300)
        outcome = await inbox.append([NewMail(LARGE, frozenset({SEEN}), date), NewMail(SMALL)])
        assert list(outcome.uids) == [1, 2]
        assert outcome.durability is Durability.RING_DURABLE
        first, second = await inbox.rows([1, 2])
        assert (first.size, second.size) == (len(LARGE), len(SMALL))
        assert first.internal_date == date
        assert second.internal_date == MailTime(alice.clock.wall_ms() // 1000)
        assert first.flags == {SEEN}
        assert first.sent == MailTime(1_704_106_800, 60)
        assert len(first.email_id) == 32
        assert first.email_id != second.email_id

    play(scene)


def test_what_is_only_on_this_machine_is_called_held_locally() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        alice.log.durability = HELD
        outcome = await inbox.append([NewMail(SMALL)])
        assert outcome.durability is Durability.HELD_LOCALLY

    play(scene)


def test_a_mail_is_as_durable_as_its_weakest_part() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        alice.messages.durability = HELD
        outcome = await inbox.append([NewMail(LARGE)])
        assert outcome.durability is Durability.HELD_LOCALLY

    play(scene)


def test_others_see_a_mail_before_the_ring_has_it() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        alice.log.ring_may_answer = asyncio.Event()
        appending = asyncio.create_task(inbox.append([NewMail(SMALL)]))
        for _ in range(20):
            await asyncio.sleep(0)
        assert list(inbox.uids()) == [1]
        assert not appending.done()
        alice.log.ring_may_answer.set()
        await appending

    play(scene)


def test_an_append_goes_on_when_its_client_is_gone() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        alice.log.ring_may_answer = asyncio.Event()
        appending = asyncio.create_task(inbox.append([NewMail(SMALL)]))
        for _ in range(20):
            await asyncio.sleep(0)
        appending.cancel()
        alice.log.ring_may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await appending
        assert list(inbox.uids()) == [1]

    play(scene)


def test_all_mails_of_one_append_come_or_none() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        with pytest.raises(MessageTooLarge):
            await inbox.append([NewMail(SMALL), NewMail(Zeros(MAIL_SIZE_BYTES_MAX + 1))])
        alice.log.error = DiskFull("no room")
        with pytest.raises(DiskFull):
            await inbox.append([NewMail(SMALL), NewMail(SMALL)])
        alice.log.error = None
        assert not inbox.uids()
        await inbox.append([NewMail(SMALL)])
        assert list(inbox.uids()) == [1]

    play(scene)


def test_a_copy_to_sent_stores_no_part_again() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        stored = alice.ring.stored
        sent = await alice.mail.mailbox.open("Sent")
        await sent.append([NewMail(LARGE)])
        assert alice.ring.stored == stored

    play(scene, LARGE)


@pytest.mark.parametrize(
    ("change", "flags", "result"),
    [
        (FlagChange.ADD, {SEEN, "$Work"}, {SEEN, FLAGGED, "$Work"}),
        (FlagChange.REMOVE, {FLAGGED, SEEN}, set()),
        (FlagChange.REPLACE, {SEEN}, {SEEN}),
        (FlagChange.REPLACE, {FLAGGED}, {FLAGGED}),
        (FlagChange.ADD, set(), {FLAGGED}),
    ],
)
def test_flags_are_added_removed_and_replaced(
    change: FlagChange, flags: set[str], result: set[str]
) -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        await inbox.change_flags([1], FlagChange.ADD, frozenset({FLAGGED}))
        outcome = await inbox.change_flags([1, 99], change, frozenset(flags))
        assert [set(row.flags) for row in outcome.rows] == [result]
        assert await flags_of(inbox) == [result, set()]

    play(scene, SMALL, SMALL)


def test_one_change_of_flags_has_one_modseq_and_leaves_the_others_alone() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        await inbox.change_flags([2], FlagChange.ADD, frozenset({SEEN}))
        before = inbox.highest_modseq
        heard = listen(inbox)
        outcome = await inbox.change_flags([1, 2, 3], FlagChange.ADD, frozenset({SEEN}))
        first, second, third = outcome.rows
        assert first.modseq == third.modseq == inbox.highest_modseq > before == second.modseq
        assert heard == [FlagsChanged([first, third])]
        assert list(await inbox.changed_since(before)) == [1, 3]

    play(scene, SMALL, SMALL, SMALL)


def test_a_change_that_changes_nothing_is_not_logged() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        logged = len(alice.log.entries)
        await inbox.change_flags([1], FlagChange.REMOVE, frozenset({SEEN}))
        assert not await inbox.expunge(None)
        assert len(alice.log.entries) == logged

    play(scene, SMALL)


def test_mails_that_changed_meanwhile_are_left_alone() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        known = inbox.highest_modseq
        await inbox.change_flags([2], FlagChange.ADD, frozenset({FLAGGED}))
        outcome = await inbox.change_flags([1, 2], FlagChange.ADD, frozenset({SEEN}), known)
        assert [row.uid for row in outcome.rows] == [1]
        assert list(outcome.failed) == [2]
        assert await flags_of(inbox) == [{SEEN}, {FLAGGED}]

    play(scene, SMALL, SMALL)


def test_of_two_conditional_changes_at_once_one_fails() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        known = inbox.highest_modseq
        outcomes = await asyncio.gather(
            inbox.change_flags([1], FlagChange.ADD, frozenset({SEEN}), known),
            inbox.change_flags([1], FlagChange.ADD, frozenset({FLAGGED}), known),
        )
        assert sorted(len(outcome.failed) for outcome in outcomes) == [0, 1]

    play(scene, SMALL)


def test_keywords_keep_their_first_spelling() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        await inbox.change_flags([1], FlagChange.ADD, frozenset({"$Work", "$Home"}))
        await inbox.change_flags([2], FlagChange.ADD, frozenset({"$WORK"}))
        assert inbox.keywords == ("$Home", "$Work")
        assert await flags_of(inbox) == [{"$Work", "$Home"}, {"$Work"}]
        await inbox.change_flags([1, 2], FlagChange.REMOVE, frozenset({"$work"}))
        assert await flags_of(inbox) == [{"$Home"}, set()]

    play(scene, SMALL, SMALL)


def test_a_folder_has_only_so_many_keywords() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        many = frozenset(f"k{number}" for number in range(KEYWORDS_PER_FOLDER_MAX))
        await inbox.change_flags([1], FlagChange.ADD, many)
        with pytest.raises(RefusedError):
            await inbox.change_flags([1], FlagChange.ADD, frozenset({"another"}))
        with pytest.raises(RefusedError):
            await inbox.append([NewMail(SMALL, frozenset({"another"}))])
        await inbox.change_flags([1], FlagChange.ADD, frozenset({"K1"}))
        assert (await flags_of(inbox))[0] == many
        with pytest.raises(RefusedError):
            await inbox.change_flags([1], FlagChange.ADD, frozenset({"l" * 101}))

    play(scene, SMALL)


def test_only_mails_marked_as_deleted_are_expunged() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        await inbox.change_flags([1, 3], FlagChange.ADD, frozenset({DELETED}))
        heard = listen(inbox)
        before = inbox.highest_modseq
        assert list(await inbox.expunge([2, 3, 99])) == [3]
        assert list(inbox.uids()) == [1, 2]
        assert heard == [Expunged([3], inbox.highest_modseq)]
        assert list(await inbox.expunge(None)) == [1]
        assert list(await inbox.vanished_since(before)) == [1, 3]
        assert list(await inbox.vanished_since(inbox.highest_modseq)) == []
        with pytest.raises(NoSuchMail):
            await inbox.octets(1)

    play(scene, SMALL, SMALL, SMALL)


def test_copies_have_flags_date_and_email_id_of_their_source() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.change_flags([1], FlagChange.ADD, frozenset({SEEN, "$Work"}))
        outcome = await inbox.copy([1, 2, 99], "Archive")
        archive = await alice.mail.mailbox.open("Archive")
        assert list(outcome.pairs) == [(1, 1), (2, 2)]
        assert outcome.uid_validity == (await alice.mail.mailbox.counters("Archive")).uid_validity
        for source, copy in zip(await inbox.rows([1, 2]), await archive.rows([1, 2]), strict=True):
            assert (copy.flags, copy.email_id) == (source.flags, source.email_id)
            assert (copy.internal_date, copy.size) == (source.internal_date, source.size)
        assert await archive.octets(1) == SMALL
        await archive.change_flags([1], FlagChange.REMOVE, frozenset({SEEN}))
        assert (await flags_of(inbox))[0] == {SEEN, "$Work"}

    play(scene, SMALL, LARGE)


def test_a_move_takes_a_mail_from_here_to_there_at_once() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        archive = await alice.mail.mailbox.open("Archive")
        seen: list[tuple[int, int]] = []
        for folder in (inbox, archive):
            folder.subscribe(lambda _: seen.append((len(inbox.uids()), len(archive.uids()))))
        logged = len(alice.log.entries)
        outcome = await inbox.move([2, 1], "Archive")
        assert list(outcome.pairs) == [(2, 1), (1, 2)]
        assert len(alice.log.entries) == logged + 2  # the move, and when it was
        assert list(inbox.uids()) == []
        assert await archive.octets(1) == LARGE
        assert list(await inbox.vanished_since(1)) == [1, 2]
        counters = await alice.mail.mailbox.counters("Archive")
        assert (counters.messages, counters.size) == (2, len(SMALL) + len(LARGE))

    play(scene, SMALL, LARGE)


def test_a_mail_that_comes_back_has_a_new_uid() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.move([1], "Archive")
        archive = await alice.mail.mailbox.open("Archive")
        outcome = await archive.move([1], "INBOX")
        assert list(outcome.pairs) == [(1, 2)]
        assert list(inbox.uids()) == [2]
        outcome = await inbox.move([2], "INBOX")
        assert list(outcome.pairs) == [(2, 3)]

    play(scene, SMALL)


def test_copying_and_moving_nothing_or_nowhere() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        for change in (inbox.copy, inbox.move):
            assert not (await change([99], "Archive")).pairs
            with pytest.raises(NoSuchFolder):
                await change([1], "No such folder")

    play(scene, SMALL)


def test_more_mails_than_a_record_names_are_changed_all_the_same() -> None:
    count = NAMES_PER_RECORD_MAX + 1

    async def scene(alice: Member, inbox: OpenFolder) -> None:
        uids = inbox.uids()
        outcome = await inbox.change_flags(uids, FlagChange.ADD, frozenset({DELETED}))
        assert len(outcome.rows) == count
        assert len((await inbox.copy(uids, "Archive")).pairs) == count
        assert len((await inbox.move(uids[: count - 1], "Trash")).pairs) == count - 1
        assert len(await inbox.expunge(None)) == 1
        for name, expected in (("INBOX", 0), ("Archive", count), ("Trash", count - 1)):
            counters = await alice.mail.mailbox.counters(name)
            folder = await alice.mail.mailbox.open(name)
            assert counters.messages == len(folder.uids()) == expected

    play(scene, *[b"x"] * count)


def test_copies_with_many_keywords_fit_into_records() -> None:
    many = frozenset("k" * 95 + f"{number:03}" for number in range(200))

    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await inbox.change_flags(inbox.uids(), FlagChange.ADD, many)
        await inbox.copy(inbox.uids(), "Archive")
        archive = await alice.mail.mailbox.open("Archive")
        assert await flags_of(archive) == [many] * 6

    play(scene, *[b"x"] * 6)


def test_headers_and_renditions_come_for_mails_that_are_there() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        headers = await inbox.headers([1, 2, 99])
        header = SMALL[: SMALL.index(b"\r\n\r\n") + 4]
        assert headers == {1: header, 2: header}
        rendered = await inbox.rendered([1, 99])
        assert b"lunch" in rendered[1].envelope
        assert list(rendered) == [1]

    play(scene, SMALL, LARGE)


def test_mails_are_found_by_their_text() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        uids = inbox.uids()
        match = TextMatch(TextPlace.BODY, "NOON")
        assert await inbox.matching(match, uids) == {1, 3}
        assert await inbox.matching(match, [2, 3]) == {3}
        assert await inbox.matching(TextMatch(TextPlace.HEADER, "", "x-none"), uids) == frozenset()

    play(scene, SMALL, LARGE, SMALL)


def test_missing_blocks_are_said_to_be_unavailable_and_listing_goes_on() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        await alice.restart(SimulatedMailIndex())
        inbox = await alice.mail.mailbox.open("INBOX")
        alice.ring.is_reachable = False
        assert [row.size for row in await inbox.rows([1, 2])] == [len(SMALL), len(LARGE)]
        assert await inbox.octets(1) == SMALL
        for reading in (inbox.octets(2), inbox.rendered([2]), inbox.headers([1, 2])):
            with pytest.raises(UnavailableError):
                await reading
        alice.ring.is_reachable = True
        assert await inbox.octets(2) == LARGE
        assert b"lunch" in (await inbox.rendered([2]))[2].envelope

    play(scene, SMALL, LARGE)


def test_mails_are_recent_to_the_first_who_claims_them() -> None:
    async def scene(alice: Member, inbox: OpenFolder) -> None:
        assert (await alice.mail.mailbox.counters("INBOX")).recent == 2
        assert inbox.claim_recent() == 1
        assert inbox.claim_recent() == 3
        assert (await alice.mail.mailbox.counters("INBOX")).recent == 0
        await inbox.append([NewMail(SMALL)])
        assert inbox.claim_recent() == 3

    play(scene, SMALL, SMALL)


def test_who_listens_hears_until_it_does_not_want_to() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        heard: list[FolderChange] = []
        stop = inbox.subscribe(heard.append)
        await inbox.append([NewMail(SMALL)])
        stop()
        stop()
        await inbox.append([NewMail(SMALL)])
        assert heard == [Appended([1])]

    play(scene)


def test_a_list_of_uids_stays_as_it_is_when_mails_come_or_go() -> None:
    async def scene(_: Member, inbox: OpenFolder) -> None:
        lists = [inbox.uids(), inbox.uids()]
        await inbox.append([NewMail(SMALL, flags=frozenset({DELETED}))])
        lists.append(inbox.uids())
        await inbox.expunge(None)
        lists.append(inbox.uids())
        assert list(map(list, lists)) == [[1], [1], [1, 2], [1]]
        assert lists[0] is lists[1]

    play(scene, SMALL)
