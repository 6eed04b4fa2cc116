"""Attached files: their mails show at once, what is in them is found soon after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from epost.apps.mail.attached.kinds import FileKind
from epost.apps.mail.mailbox import NewMail, TextMatch, TextPlace
from epost.apps.mail.observed import MailWorkFailed
from epost.apps.mail.renditions import file_texts as file_texts_module
from epost.apps.mail.renditions.file_texts import RETRY_SECONDS
from epost.foundation.errors import UnavailableError
from epost.simulation.clock import run
from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.attached_files import pdf
from tests.support.mail import ALICE, Member, living, organisation

Scene = Callable[[Member, "SlowReader"], Awaitable[None]]


@dataclass
class SlowReader:
    """Reads a file as its octets; when it may, and as long as it can."""

    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    is_there: bool = True
    files: list[bytes] = field(default_factory=list)

    async def __call__(self, kind: FileKind, octets: bytes) -> str:
        self.files.append(octets)
        await self.may_read.wait()
        if not self.is_there:
            raise UnavailableError("no process")
        return octets.decode().upper()


def play(scene: Scene) -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        alice.read_file = reader = SlowReader()
        alice.build()
        async with living(alice):
            await scene(alice, reader)

    run(story())


def with_files(*files: bytes) -> NewMail:
    parts = b"".join(
        b"--b\r\nContent-Type: application/pdf\r\n\r\n" + file + b"\r\n" for file in files
    )
    head = b"Subject: files\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return NewMail(head + b"--b\r\n\r\nHerewith\r\n" + parts + b"--b--\r\n")


async def found(alice: Member, text: str) -> int:
    await asyncio.sleep(1)
    return len(alice.index.containing(TextMatch(TextPlace.BODY, text), range(1, 10)))


def test_a_mail_shows_before_its_files_are_read() -> None:
    async def scene(alice: Member, reader: SlowReader) -> None:
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([with_files(b"invoice", b"terms")])
        assert list(inbox.uids()) == [1]
        assert await found(alice, "herewith") == 1
        assert await found(alice, "invoice") == 0
        reader.may_read.set()
        assert await found(alice, "invoice") == 1
        assert await found(alice, "terms") == 1
        assert reader.files == [b"invoice", b"terms"]

    play(scene)


def test_files_that_were_not_read_to_the_end_are_read_again_after_a_restart() -> None:
    async def scene(alice: Member, reader: SlowReader) -> None:
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([with_files(b"invoice")])
        await asyncio.sleep(1)
        await alice.restart()
        reader.may_read.set()
        assert await found(alice, "invoice") == 1
        assert reader.files == [b"invoice"] * 2
        await alice.restart()
        await asyncio.sleep(RETRY_SECONDS)
        assert reader.files == [b"invoice"] * 2, "what was read is read"

    play(scene)


def test_an_index_made_anew_has_the_text_of_files() -> None:
    async def scene(alice: Member, reader: SlowReader) -> None:
        reader.may_read.set()
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([with_files(b"invoice")])
        await alice.restart(SimulatedMailIndex())
        assert await found(alice, "invoice") == 1

    play(scene)


def test_files_wait_while_they_cannot_be_read() -> None:
    async def scene(alice: Member, reader: SlowReader) -> None:
        reader.may_read.set()
        reader.is_there = False
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([with_files(b"first"), with_files(b"second")])
        assert await found(alice, "first") == 0
        assert len(alice.observer.of(MailWorkFailed)) >= 2, "one keeps no other from it"
        reader.is_there = True
        await asyncio.sleep(RETRY_SECONDS)
        assert await found(alice, "first") == 1
        assert await found(alice, "second") == 1

    play(scene)


@pytest.mark.parametrize(("limit", "files_read"), [("FILES_READ_MAX", 2), ("room", 1)])
def test_of_one_mail_so_many_files_and_so_much_text_are_read(
    limit: str, files_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "FILES_READ_MAX" if limit == "FILES_READ_MAX" else "BODY_CHARACTERS_MAX"
    monkeypatch.setattr(file_texts_module, name, 2)

    async def scene(alice: Member, reader: SlowReader) -> None:
        reader.may_read.set()
        inbox = await alice.mail.mailbox.open("INBOX")
        await inbox.append([with_files(b"one", b"two", b"three")])
        await asyncio.sleep(1)
        assert len(reader.files) == files_read

    play(scene)


def test_a_pdf_is_found_by_its_words() -> None:
    async def story() -> None:
        (alice,) = organisation(ALICE)
        async with living(alice):
            inbox = await alice.mail.mailbox.open("INBOX")
            await inbox.append([with_files(pdf(b"BT /F1 9 Tf (Invoice 4711) Tj ET"))])
            assert await found(alice, "invoice 4711") == 1

    run(story())
