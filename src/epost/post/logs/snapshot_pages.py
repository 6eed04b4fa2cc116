"""Fetches the pages of a snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator

from epost.post.logs.snapshot_format import Page, SnapshotRoot, open_page
from epost.post.parallel import in_parallel
from epost.post.storage.message_store import MessageStore
from epost.post.storage.references import Reference

PAGES_AT_ONCE = 16


async def pages_of(
    root: SnapshotRoot, messages: MessageStore, only: bytes | None = None
) -> AsyncIterator[Page]:
    """Yield all pages, group by group, or those of `only` one group.

    Raises NoSuchBlock, UnavailableError; AuthenticityError and PeerError for a page that is not
    this snapshot's: then nothing of it is to be trusted.
    """

    async def fetch(group: bytes, reference: Reference) -> Page:
        return open_page(await messages.fetch(reference), root, group)

    groups = [group for group in root.groups if only in {None, group.name}]
    wanted = [(group.name, page) for group in groups for page in group.pages]
    for start in range(0, len(wanted), PAGES_AT_ONCE):
        some = wanted[start : start + PAGES_AT_ONCE]
        for page in await in_parallel([fetch(*w) for w in some], at_once=PAGES_AT_ONCE):
            yield page
