"""The maildrop: INBOX as it was at login, with the marks that QUIT makes come true (RFC 1939).

Messages that come meanwhile have to wait for the next session; those that another program removes
stay in the list and cannot be read any more.
"""

import asyncio
from array import array
from collections.abc import Iterator

from epost.apps.mail.mailbox import DELETED, EMAIL_ID_BYTES, SEEN, FlagChange, Folder
from epost.foundation.errors import NoSuchMail
from epost.foundation.octets import Octets
from epost.servers.pop3.limits import ROWS_PER_SLICE


class Maildrop:
    """Messages by number, from 1 on; a number never means another message."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._uids = array("I")
        self._sizes = array("I")
        self._emails = bytearray()
        self._octets = 0
        self._deleted: set[int] = set()
        self._read: set[int] = set()

    @classmethod
    async def of(cls, folder: Folder) -> "Maildrop":
        """What is in a folder now; no mail is read."""
        drop = cls(folder)
        uids = folder.uids()
        for start in range(0, len(uids), ROWS_PER_SLICE):
            rows = await folder.columns(uids[start : start + ROWS_PER_SLICE])
            drop._uids += rows.uids
            drop._sizes.extend(rows.sizes)
            drop._emails += rows.emails
            drop._octets += sum(rows.sizes)
            await asyncio.sleep(0)
        return drop

    def has(self, number: int) -> bool:
        """Whether there is such a message, and it is not marked as deleted."""
        return 0 < number <= len(self._uids) and number not in self._deleted

    def numbers(self) -> Iterator[int]:
        """The numbers of all messages that are not marked."""
        return (n for n in range(1, len(self._uids) + 1) if n not in self._deleted)

    def totals(self) -> tuple[int, int]:
        """How many messages are not marked, and how many octets they have."""
        gone = sum(self._sizes[number - 1] for number in self._deleted)
        return len(self._uids) - len(self._deleted), self._octets - gone

    def size(self, number: int) -> int:
        """Octets of a message."""
        return self._sizes[number - 1]

    def unique_id(self, number: int) -> str:
        """Equal in all sessions and on all devices of the account, also of two equal copies."""
        start = (number - 1) * EMAIL_ID_BYTES
        return self._emails[start : start + EMAIL_ID_BYTES].hex()

    def delete(self, number: int) -> None:
        """Mark a message; nothing is removed before `commit`."""
        self._deleted.add(number)

    def reset(self) -> None:
        """Take all marks off."""
        self._deleted.clear()

    async def octets(self, number: int) -> Octets:
        """A whole mail; raises NoSuchMail, UnavailableError."""
        octets = await self._folder.octets(self._uids[number - 1])
        self._read.add(number)
        return octets

    async def header(self, number: int) -> bytes:
        """The header block with its empty line; raises NoSuchMail, UnavailableError."""
        uid = self._uids[number - 1]
        found = await self._folder.headers([uid])
        if uid not in found:
            raise NoSuchMail(f"uid {uid}")
        return found[uid]

    async def commit(self) -> bool:
        r"""Remove what is marked, for ever, and mark what was fetched as \Seen.

        Returns whether all that was marked is gone.
        """
        seen = [self._uids[number - 1] for number in sorted(self._read - self._deleted)]
        if seen:
            await self._folder.change_flags(seen, FlagChange.ADD, frozenset({SEEN}))
        doomed = [self._uids[number - 1] for number in sorted(self._deleted)]
        if doomed:
            await self._folder.change_flags(doomed, FlagChange.ADD, frozenset({DELETED}))
            await self._folder.expunge(doomed)
        return not await self._folder.rows(doomed)
