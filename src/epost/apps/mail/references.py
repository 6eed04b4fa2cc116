"""What an account's mails refer to in the message store, and what they referred to once.

All of it is read from the index, which is folded from the logs of all devices, and from what was
sent: nothing is counted, so nothing can be counted wrongly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Protocol

from epost.apps.mail.delivery.notice import InStore, read_notice
from epost.apps.mail.index import SLICE, BacklogIndex
from epost.apps.mail.log.records import Content, Stored
from epost.foundation.errors import PeerError, UnavailableError
from epost.post.app_ids import AppId
from epost.post.storage.references import Reference


class SentContents(Protocol):
    """The contents of this device's notices."""

    def contents_on_their_way(self, app: AppId) -> AsyncIterator[bytes]:
        """Yield those of messages that are not settled."""
        ...

    def contents_settled(self, app: AppId) -> AsyncIterator[bytes]:
        """Yield those of all others that were ever sent."""
        ...


class MailReferences:
    """Answers for mail what the account needs of the message store (`post.lease_ending`)."""

    def __init__(
        self, index: BacklogIndex, sent: SentContents, standing: Callable[[], object | None]
    ) -> None:
        """`standing` tells which log the index follows; None while it is made anew."""
        self._index = index
        self._sent = sent
        self._standing = standing

    async def given_up(self) -> AsyncIterator[Reference]:
        """Yield what mails refer to that are in no folder any more, and what was sent and is
        settled, though other mails may need the same."""
        async for reference in references_of_mails(self._index, in_folders=False):
            yield reference
        async for content in self._sent.contents_settled(AppId.MAIL):
            for reference in references_in_notice(content):
                yield reference

    async def needed(self) -> AsyncIterator[Reference]:
        """Yield what mails in all folders refer to, and what is on its way.

        Raises UnavailableError if the index was not whole all the time.
        """
        standing = self._standing()
        if standing is None:
            raise UnavailableError("the index is made anew")
        async for reference in references_of_mails(self._index, in_folders=True):
            yield reference
        async for content in self._sent.contents_on_their_way(AppId.MAIL):
            for reference in references_in_notice(content):
                yield reference
        if self._standing() != standing:
            raise UnavailableError("the index was made anew meanwhile")


async def references_of_mails(index: BacklogIndex, *, in_folders: bool) -> AsyncIterator[Reference]:
    """Yield what mails in folders refer to, or those in none; lets others work in between."""
    after = 0
    while page := index.contents_of_mails(SLICE, after, in_folders=in_folders):
        after = page[-1][0]
        for content in (content for _, content in page if content is not None):
            for reference in references_of(content):
                yield reference
        await asyncio.sleep(0)


def references_of(content: Content) -> tuple[Reference, ...]:
    """Return what a mail in the index refers to: its skeleton and its parts."""
    return (content.skeleton, *content.parts) if isinstance(content, Stored) else ()


def references_in_notice(content: bytes) -> tuple[Reference, ...]:
    """Return what the content of a notice refers to; nothing, if it is not a mail's."""
    with suppress(PeerError):  # a memo, or of a later version
        stored = read_notice(content).content
        if isinstance(stored, InStore):
            return (stored.skeleton, *stored.parts)
    return ()
