"""Mails in the message store: cut, shared, bounded, and put together again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from epost.apps.mail import mail_store as mail_store_module
from epost.apps.mail.delivery.notice import PARTS_MAX
from epost.apps.mail.log.records import Inline, Noticed, Stored
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.ports import OFFLOAD_BYTES_MIN, T, in_the_loop
from epost.foundation.errors import LimitExceeded, MalformedPacket, MessageTooLarge, NoSuchBlock
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.clock import run
from tests.support.large_octets import Zeros
from tests.support.mail import HELD, ON_THREE, CountingEntropy, MemoryMessages, MemoryRing

PARTS = (
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{}\r\n--b\r\n"
    "Content-Type: application/zip\r\n\r\n{}\r\n--b--\r\n"
)


class Counted:
    """Counts what is run elsewhere."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        self.count += 1
        return await in_the_loop(work)


def store_and_messages() -> tuple[MailStore, MemoryMessages]:
    messages = MemoryMessages(MemoryRing(), CountingEntropy())
    return MailStore(messages, in_the_loop), messages


def mail(text: str, attachment: str) -> bytes:
    return PARTS.format(text * 3000, attachment * 3000).encode()


def test_the_same_attachment_in_two_mails_is_stored_once() -> None:
    async def story() -> None:
        store, messages = store_and_messages()
        contents = []
        for octets in (mail("a", "z"), mail("b", "z")):
            put = await store.put(octets, parse_structure(octets))
            assert await store.get(put.content) == octets
            contents.append(put.content)
        assert contents[0].parts[1] == contents[1].parts[1]
        assert contents[0].parts[0] != contents[1].parts[0]
        assert contents[0].skeleton == contents[1].skeleton
        assert len(messages.ring.blocks) == 4

    run(story())


def test_a_mail_is_as_safe_as_the_least_safe_of_its_parts() -> None:
    async def story() -> None:
        store, messages = store_and_messages()
        octets = mail("a", "z")
        put = await store.put(octets, parse_structure(octets))
        assert put.durability == ON_THREE
        messages.durability = HELD
        put = await store.put(octets, parse_structure(octets))
        assert put.durability == ON_THREE.combine(HELD)

    run(story())


def test_a_mail_of_very_many_parts_becomes_few_references() -> None:
    part = "--b\r\n\r\n" + "y" * 1500 + "\r\n"
    head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    octets = (head + part * (PARTS_MAX + 1)).encode()

    async def story() -> None:
        store, _ = store_and_messages()
        put = await store.put(octets, parse_structure(octets))
        assert len(put.content.parts) <= PARTS_MAX
        assert await store.get(put.content) == octets

    run(story())


def test_mails_over_the_limit_are_refused() -> None:
    async def story() -> None:
        store, _ = store_and_messages()
        octets = Zeros(MAIL_SIZE_BYTES_MAX + 1)
        with pytest.raises(MessageTooLarge):
            await store.put(octets, parse_structure(b""))

    run(story())


def test_references_beyond_any_mail_are_refused_before_they_are_fetched() -> None:
    def reference(length: int) -> Reference:
        return Reference(bytes(32), bytes(32), Secrecy.UNIQUE, 0, length)

    async def story() -> None:
        store, _ = store_and_messages()
        half = reference(MAIL_SIZE_BYTES_MAX // 2 + 1)
        for content in (Stored(reference(2**40), ()), Stored(reference(9), (half, half))):
            with pytest.raises(LimitExceeded):
                await store.get(content)
        with pytest.raises(NoSuchBlock):
            await store.get(Stored(reference(9), (reference(MAIL_SIZE_BYTES_MAX),)))

    run(story())


def test_parts_of_another_mail_do_not_fit() -> None:
    async def story() -> None:
        store, _ = store_and_messages()
        first, second = mail("a", "z"), mail("ab", "z")
        put = await store.put(first, parse_structure(first))
        other = await store.put(second, parse_structure(second))
        with pytest.raises(MalformedPacket):
            await store.get(Stored(put.content.skeleton, other.content.parts))

    run(story())


def test_a_mail_read_piece_by_piece_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_store_module, "RECENT_BYTES_MAX", 15_000)

    async def story() -> None:
        store, messages = store_and_messages()
        first, second, third = (mail(text, text) for text in "abc")
        contents = [
            (await store.put(octets, parse_structure(octets))).content
            for octets in (first, second, third)
        ]
        assert await store.get(contents[0]) == first
        assert await store.get(contents[1]) == second
        messages.ring.blocks.clear()
        assert await store.get(contents[0]) == first
        assert await store.get(contents[1]) == second
        assert len(first) * 2 < 15_000 < len(first) * 3

    run(story())


def test_mails_at_once_are_remembered_once_and_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail_store_module, "RECENT_BYTES_MAX", 8_000)

    async def story() -> None:
        store, messages = store_and_messages()
        first, second = mail("a", "a"), mail("b", "b")
        one = (await store.put(first, parse_structure(first))).content
        other = (await store.put(second, parse_structure(second))).content
        await store.get(one)
        await store.get(other)
        messages.ring.blocks.clear()
        assert await store.get(other) == second
        with pytest.raises(NoSuchBlock):
            await store.get(one)

    run(story())


def test_large_mails_are_cut_and_joined_elsewhere() -> None:
    async def story() -> None:
        counted = Counted()
        store = MailStore(MemoryMessages(MemoryRing(), CountingEntropy()), counted)
        small, large = mail("a", "z"), mail("a" * 50, "z" * 50)
        assert len(large) >= OFFLOAD_BYTES_MIN > len(small)
        for octets, expected in ((small, 0), (large, 2)):
            put = await store.put(octets, parse_structure(octets))
            await store.get(put.content)
            assert counted.count == expected

    run(story())


def test_the_beginning_of_a_mail_costs_only_its_skeleton() -> None:
    async def story() -> None:
        store, messages = store_and_messages()
        octets = mail("a", "z")
        put = await store.put(octets, parse_structure(octets))
        for part in put.content.parts:
            del messages.ring.blocks[part.digest]
        beginning = await store.beginning(put.content)
        assert octets.startswith(beginning)
        assert beginning.startswith(b"Content-Type: multipart/mixed")

    run(story())


def test_small_mails_come_out_of_the_record_and_notices_never_get_here() -> None:
    async def story() -> None:
        store, _ = store_and_messages()
        assert await store.get(Inline(b"small")) == b"small"
        with pytest.raises(AssertionError):
            await store.get(Noticed(b"signed"))

    run(story())
