"""SORT and THREAD as dialogues."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from epost.servers.imap.commands import sorting
from tests.support.imap_dialogue import ImapHouse, mail_about, play, put
from tests.support.memory_mailstore import MemoryMail

T = TypeVar("T")


def mail(
    subject: str,
    sender: str = "bob@x.org",
    day: int = 1,
    number: int = 0,
    answers: Sequence[int] = (),
) -> bytes:
    references = " ".join(f"<{answer}@x>" for answer in answers)
    return (
        f"From: {sender}\r\nSubject: {subject}\r\nDate: {day} Jan 2024 12:00:00 +0000\r\n"
        f"Message-ID: <{number}@x>\r\nReferences: {references}\r\n\r\nText.\r\n"
    ).encode()


def test_sorting_by_headers_dates_and_sizes() -> None:
    play(
        """
        C: a SORT (SUBJECT) UTF-8 ALL
        S: * SORT 2 1 3
        S: a OK That is all
        C: b SORT (REVERSE DATE) US-ASCII ALL
        S: * SORT 2 3 1
        S: b OK That is all
        C: c UID SORT (FROM REVERSE DATE) UTF-8 ALL
        S: * SORT 2 3 1
        S: c OK That is all
        C: d SORT (DISPLAYFROM) UTF-8 ALL
        S: * SORT 1 3 2
        S: d OK That is all
        C: e SORT RETURN (MIN MAX COUNT ALL SAVE) (SIZE) UTF-8 NOT SUBJECT b
        S: * ESEARCH (TAG "e") MIN 3 MAX 1 ALL 3,1 COUNT 2
        S: e OK That is all
        C: f FETCH $ UID
        S: * 1 FETCH (UID 1)
        S: * 3 FETCH (UID 3)
        S: f OK That is all
        C: g SORT (SUBJECT) UTF-8 SUBJECT nothing
        S: * SORT
        S: g OK That is all
        """,
        mails=[
            mail("Re: cherries", "Ann <z@x.org>", day=1),
            mail("=?utf-8?q?[list] b=C3=A4ren?= and more", "a@x.org", day=3)
            .replace(b"From: a", b"From: zoe <a", 1)
            .replace(b"a@x.org", b"a@x.org>", 1),
            mail("cherries", "bob@x.org", day=2),
        ],
    )


def test_threads_by_references_and_by_subject() -> None:
    play(
        """
        C: a THREAD REFERENCES UTF-8 ALL
        S: * THREAD (1 (2 4)(3))(5 6)
        S: a OK That is all
        C: b UID THREAD ORDEREDSUBJECT UTF-8 ALL
        S: * THREAD (1 (2)(3))(4)(5 6)
        S: b OK That is all
        C: c THREAD REFERENCES UTF-8 6
        S: * THREAD (6)
        S: c OK That is all
        """,
        mails=[
            mail("lunch", number=1, day=1),
            mail("Re: lunch", number=2, day=2, answers=[1]),
            mail("Re: lunch", number=3, day=3, answers=[1]),
            mail("dinner", number=4, day=4, answers=[1, 2]),
            mail("tea", number=5, day=5),
            mail("Re: tea", number=6, day=6, answers=[99]),
        ],
    )


def test_what_cannot_be_sorted_is_refused() -> None:
    play(
        """
        C: a SORT (COLOUR) UTF-8 ALL
        S: a BAD Unknown sort criterion
        C: b SORT () UTF-8 ALL
        S: b BAD ...
        C: c SORT (DATE) KOI8-R ALL
        S: c NO [BADCHARSET (US-ASCII UTF-8)] ...
        C: d THREAD JWZ UTF-8 ALL
        S: d BAD Unknown threading algorithm
        """,
    )


def test_a_mail_that_cannot_be_read_now_does_not_spoil_the_order() -> None:
    async def build() -> MemoryMail:
        store = MemoryMail()
        for subject in ("b", "a"):
            await put(store, mail(subject))
        store.folder("INBOX").unrendered.add(1)
        return store

    play(
        """
        C: a SORT (SUBJECT) UTF-8 ALL
        S: * SORT 1 2
        S: a OK That is all
        C: b THREAD ORDEREDSUBJECT UTF-8 ALL
        S: * THREAD (1)(2)
        S: b OK That is all
        """,
        mail=asyncio.run(build()),
    )


def test_threads_of_many_messages_are_made_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        done = 0

        async def offload(work: Callable[[], T]) -> T:
            nonlocal done
            done += 1
            return work()

        monkeypatch.setattr(sorting, "ROWS_PER_SLICE", 1)
        house = ImapHouse()
        house.site = replace(house.site, offload=offload)
        for subject in ("a", "b", "Re: a"):
            await put(house.mail, mail_about(subject))
        client = await house.member()
        await client.command("SELECT INBOX")
        answer = await client.command("THREAD REFERENCES UTF-8 ALL")
        assert answer == ["* THREAD (1 3)(2)", "t OK That is all"]
        assert (await client.command("UID THREAD ORDEREDSUBJECT UTF-8 UID 2"))[0] == "* THREAD (2)"
        assert done == 1
        await client.hang_up()

    asyncio.run(scene())


@pytest.mark.parametrize("command", ["SORT (ARRIVAL) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL"])
def test_very_many_messages_are_ordered_for_one_session_after_the_other(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(sorting, "ORDERED_TOGETHER_MAX", 1)

    async def scene() -> None:
        house = ImapHouse()
        for number in (1, 2):
            await put(house.mail, mail("lunch", number=number))
        client, other = await house.member(), await house.member()
        for member in (client, other):
            await member.command("SELECT INBOX")
        async with house.site.ordering:
            client.send(f"a {command}\r\n".encode())
            assert (await other.command(command.replace("ALL", "1")))[-1].startswith("t OK")
            assert client.writer.lines.empty()
        assert (await client.line()).startswith(b"* " + command.split()[0].encode())
        assert (await client.line()).startswith(b"a OK")
        assert not house.site.ordering.locked()
        for member in (client, other):
            await member.hang_up()

    asyncio.run(scene())
