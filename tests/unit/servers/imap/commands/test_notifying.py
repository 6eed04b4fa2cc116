"""NOTIFY as dialogues (RFC 5465)."""

import asyncio

import pytest

from epost.apps.mail.folders.account_changes import AccountReset
from epost.apps.mail.mailbox import FlagChange, SpecialUse
from epost.servers.imap.limits import NOTIFIED_NAMES_WAITING_MAX, NOTIFY_GROUPS_MAX
from tests.support.imap_dialogue import MAIL, ImapHouse, WireClient, play, put

SELECTED = "(SELECTED (MessageNew MessageExpunge FlagChange))"


async def notified(house: ImapHouse, groups: str, *, selects: str = "INBOX") -> WireClient:
    client = await house.member()
    if selects:
        await client.command(f"SELECT {selects}")
    assert (await client.command(f"NOTIFY SET {groups}"))[-1] == "t OK You will be told"
    return client


def test_the_selected_folder_is_told_of_without_any_command() -> None:
    async def scene() -> None:
        house = ImapHouse()
        inbox = house.mail.folder("INBOX")
        client = await notified(house, SELECTED)
        await put(house.mail, MAIL)
        assert [await client.line(), await client.line()] == [b"* 1 EXISTS", b"* 1 RECENT"]
        await inbox.change_flags([1], FlagChange.ADD, frozenset({"\\Deleted"}))
        assert await client.line() == rb"* 1 FETCH (UID 1 FLAGS (\Deleted \Recent))"
        await inbox.expunge(None)
        assert await client.line() == b"* 1 EXPUNGE"
        await client.hang_up()

    asyncio.run(scene())


def test_what_is_wanted_of_a_new_message_comes_with_it_and_does_not_mark_it_as_seen() -> None:
    async def scene() -> None:
        house = ImapHouse()
        events = "(MessageNew (UID BODY[HEADER.FIELDS (SUBJECT)]) MessageExpunge)"
        client = await notified(house, f"(SELECTED {events})")
        await put(house.mail, MAIL)
        lines = [await client.line() for _ in range(6)]
        assert lines[2:] == [
            b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {18}",
            b"Subject: lunch",
            b"",
            b")",
        ]
        (row,) = await house.mail.folder("INBOX").rows([1])
        assert not row.flags
        await house.mail.folder("INBOX").change_flags([1], FlagChange.ADD, frozenset({"\\Seen"}))
        assert (await client.command("NOOP")) == ["t OK Nothing done"]
        await client.hang_up()

    asyncio.run(scene())


def test_delayed_removals_wait_for_a_command() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await put(house.mail, MAIL, "\\Deleted")
        client = await notified(house, "(SELECTED-DELAYED (MessageNew MessageExpunge))")
        await house.mail.folder("INBOX").expunge(None)
        await put(house.mail, MAIL)
        assert [await client.line(), await client.line()] == [b"* 2 EXISTS", b"* 2 RECENT"]
        assert await client.command("NOOP") == ["* 1 EXPUNGE", "t OK Nothing done"]
        await client.hang_up()

    asyncio.run(scene())


def test_other_folders_are_told_of_by_their_status() -> None:
    async def scene() -> None:
        house = ImapHouse()
        for name in ("Lists/a", "Lists/b", "Other"):
            await house.mail.create(name)
        events = "(MessageNew MessageExpunge FlagChange)"
        client = await notified(
            house, f"(MAILBOXES Lists/b NONE) (SUBTREE (Lists) {events})", selects=""
        )
        await put(house.mail, MAIL, folder="Lists/b")
        await put(house.mail, MAIL, folder="Other")
        await put(house.mail, MAIL, folder="Lists/a")
        status = b"* STATUS Lists/a (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 1002 UNSEEN "
        assert await client.line() == status + b"1 HIGHESTMODSEQ 2)"
        lists = house.mail.folder("Lists/a")
        await lists.change_flags([1], FlagChange.ADD, frozenset({"\\Seen"}))
        assert await client.line() == status + b"0 HIGHESTMODSEQ 3)"
        assert await client.command("NOOP") == ["t OK Nothing done"]
        await client.hang_up()

    asyncio.run(scene())


def test_of_other_folders_one_kind_of_event_can_be_watched_by_itself() -> None:
    play(
        """
        C: a NOTIFY SET STATUS (INBOXES (MessageExpunge))
        S: * STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 1001)
        S: a OK You will be told
        C2: a SELECT INBOX
        S2: * FLAGS ...
        S2: * OK ...
        S2: * 1 EXISTS
        S2: * 1 RECENT
        S2: * OK ...
        S2: * OK ...
        S2: * OK ...
        S2: * OK ...
        S2: * OK ...
        S2: a OK ...
        C2: b STORE 1 FLAGS.SILENT (\\Deleted)
        S2: b OK Stored
        C2: c EXPUNGE
        S: * STATUS INBOX (MESSAGES 0 UIDNEXT 2 UIDVALIDITY 1001)
        S2: * 1 EXPUNGE
        S2: c OK Expunged
        """,
        mails=[MAIL],
        start="logged in",
    )


def test_status_tells_where_every_watched_folder_stands() -> None:
    play(
        """
        C: a CREATE Sub/Box
        S: a OK ...
        C: b ENABLE CONDSTORE
        S: * ENABLED CONDSTORE
        S: * OK [HIGHESTMODSEQ 2] Latest change
        S: b OK Enabled what can be
        C: c NOTIFY SET STATUS (SELECTED NONE) (PERSONAL (MessageNew MessageExpunge))
        S: * STATUS Sub/Box (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1002 HIGHESTMODSEQ 1)
        S: c OK You will be told
        """,
        mails=[MAIL],
    )


def test_folders_that_are_made_renamed_removed_and_subscribed_are_listed() -> None:
    play(
        r"""
        C: a NOTIFY SET (PERSONAL (MailboxName SubscriptionChange))
        S: a OK You will be told
        C2: a CREATE Box
        S: * LIST (\HasNoChildren) "/" Box
        S2: a OK ...
        C2: b SUBSCRIBE Box
        S: * LIST (\HasNoChildren \Subscribed) "/" Box
        S2: b OK Subscribed
        C2: c RENAME Box New
        S: * LIST (\HasNoChildren) "/" New ("OLDNAME" (Box))
        S2: c OK Renamed
        C2: d DELETE New
        S: * LIST (\NonExistent \HasNoChildren) "/" New
        S2: d OK Deleted
        C2: e UNSUBSCRIBE Box
        S: * LIST (\NonExistent \HasNoChildren) "/" Box
        S2: e OK Unsubscribed
        """,
        start="logged in",
    )


def test_subscribed_and_inboxes_mean_what_they_mean_at_the_moment() -> None:
    async def scene() -> None:
        house = ImapHouse()
        for name in ("Box", "Spam"):
            await house.mail.create(name)
        events = "(MessageNew MessageExpunge)"
        client = await notified(house, f"(SUBSCRIBED {events}) (INBOXES {events})", selects="")
        await put(house.mail, MAIL, folder="Box")
        await house.mail.set_subscribed("Box", True)
        await put(house.mail, MAIL, folder="Box")
        assert (await client.line()).startswith(b"* STATUS Box (MESSAGES 2 ")
        await put(house.mail, MAIL)
        assert (await client.line()).startswith(b"* STATUS INBOX (MESSAGES 1 ")
        await client.hang_up()

    asyncio.run(scene())


def test_mail_is_delivered_to_inbox_and_to_junk_however_that_is_called() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await house.mail.create("Spam", SpecialUse.JUNK)
        events = "(MessageNew MessageExpunge)"
        client = await notified(house, f"(INBOXES {events})", selects="")
        await put(house.mail, MAIL, folder="Spam")
        assert (await client.line()).startswith(b"* STATUS Spam (MESSAGES 1 ")
        await house.mail.rename("Spam", "Rubbish")
        await put(house.mail, MAIL, folder="Rubbish")
        assert (await client.line()).startswith(b"* STATUS Rubbish (MESSAGES 2 ")
        await house.mail.delete("Rubbish")
        await house.mail.create("Rubbish")
        await put(house.mail, MAIL, folder="Rubbish")
        assert await client.command("NOOP") == ["t OK Nothing done"]
        await client.hang_up()

    asyncio.run(scene())


def test_nothing_is_told_of_a_folder_that_was_not_named_but_what_was_asked_for() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await put(house.mail, MAIL, "\\Deleted")
        client = await house.member()
        await client.command("SELECT INBOX")
        assert await client.command("NOTIFY NONE") == ["t OK You will be told nothing"]
        await put(house.mail, MAIL)
        assert await client.command("NOOP") == ["t OK Nothing done"]
        told = await client.command("EXPUNGE")
        assert told == ["* 1 EXPUNGE", "* 1 EXISTS", "* 1 RECENT", "t OK Expunged"]
        await client.hang_up()

    asyncio.run(scene())


def test_notify_set_tells_first_what_was_not_told_yet() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await house.member()
        await client.command("SELECT INBOX")
        await put(house.mail, MAIL)
        assert await client.command("NOTIFY SET (INBOXES NONE)") == [
            "* 1 EXISTS",
            "* 1 RECENT",
            "t OK You will be told",
        ]
        await client.hang_up()

    asyncio.run(scene())


def test_an_idle_client_hears_of_what_it_watches_and_of_nothing_else() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await house.mail.create("Box")
        client = await notified(house, "(PERSONAL (MessageNew MessageExpunge))")
        client.send(b"a IDLE\r\n")
        assert await client.line() == b"+ idling"
        await put(house.mail, MAIL)
        await put(house.mail, MAIL, folder="Box")
        assert (await client.line()).startswith(b"* STATUS Box (MESSAGES 1 ")
        client.send(b"DONE\r\n")
        assert await client.line() == b"a OK Idled"
        await client.hang_up()

    asyncio.run(scene())


def test_a_client_that_is_told_of_the_end_of_its_folder_is_sent_away() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await house.mail.create("Box")
        client = await notified(house, SELECTED, selects="Box")
        await house.mail.delete("Box")
        assert await client.line() == b"* BYE The selected folder was deleted"
        await client.serving

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("groups", "answer"),
    [
        ("(SELECTED (MessageNew))", "BAD MessageNew and MessageExpunge belong together"),
        ("(SELECTED (FlagChange))", "BAD MessageNew and MessageExpunge belong together"),
        ("(SELECTED (MailboxName))", "BAD Of the selected folder only messages can be watched"),
        ("(SELECTED NONE) (SELECTED-DELAYED NONE)", "BAD The selected folder is named twice"),
        ("(PERSONAL SOME)", "BAD Events expected"),
        ("(SUBTREE-ONE x NONE)", "BAD Unknown kind of folders"),
        ("(SHARED NONE)", "BAD Unknown kind of folders"),
        (
            "(PERSONAL (AnnotationChange))",
            "NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName Su...",
        ),
        (
            " ".join(["(PERSONAL NONE)"] * (NOTIFY_GROUPS_MAX + 1)),
            "NO [NOTIFICATIONOVERFLOW] That is more than is told without being asked for",
        ),
    ],
)
def test_what_cannot_be_watched_is_refused(groups: str, answer: str) -> None:
    play(f"C: a NOTIFY SET {groups}\nS: a {answer}", start="logged in")


def test_who_does_not_read_is_told_that_news_were_lost() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await notified(house, "(PERSONAL (MailboxName))", selects="")
        client.writer.is_open_for_writing.clear()
        for number in range(NOTIFIED_NAMES_WAITING_MAX + 20):
            await house.mail.create(f"Box {number}")
        client.writer.is_open_for_writing.set()
        lines = [await client.line()]
        while b"LIST" in lines[-1]:
            lines.append(await client.line())
        assert lines[-1] == b"* OK [NOTIFICATIONOVERFLOW] You are told no more"
        await house.mail.create("one more")
        assert await client.command("NOOP") == ["t OK Nothing done"]
        await client.hang_up()

    asyncio.run(scene())


def test_when_all_uids_lose_their_meaning_notifications_end() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await notified(house, "(PERSONAL (MailboxName))", selects="")
        house.mail.followers.tell([AccountReset()])
        assert await client.line() == b"* OK [NOTIFICATIONOVERFLOW] You are told no more"
        await client.hang_up()
        assert not house.mail.followers

    asyncio.run(scene())
