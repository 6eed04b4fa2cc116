"""What is done for mails after they are in the index: numbers, renditions, MODSEQs in reserve.

Mails of this device's own making need none of it. It is for mails that came through the logs of
other devices, for a rebuilt index, and for mails whose blocks could not be had at once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from epost.apps.mail.chunks import in_chunks
from epost.apps.mail.index import MailIndex, Rendition
from epost.apps.mail.log.journal import Journal
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import NAMES_PER_RECORD_MAX, Stay, UidRange, UidValidity
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.observed import MailWorkFailed
from epost.apps.mail.ports import Offload
from epost.apps.mail.renditions.rendition import read_mail
from epost.foundation.errors import EpostError, UnavailableError
from epost.foundation.ports import Clock, Observer

NUMBERED_AT_ONCE = 8 * NAMES_PER_RECORD_MAX
"""So many are one transaction of the index, and one append to the log."""
RENDERED_AT_ONCE = 20
TEXT_AT_ONCE_MAX = 1_000_000
"""Characters of texts that are kept in memory before they are written."""
RETRY_SECONDS_MIN = 30.0
RETRY_SECONDS_MAX = 3600.0
UID_VALIDITY_MAX = 0xFFFF_FFFF


class Backlog:
    """Works through what waits, and again whenever it is woken."""

    def __init__(
        self,
        *,
        index: MailIndex,
        ledger: Ledger,
        journal: Journal,
        store: MailStore,
        offload: Offload,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._index = index
        self._ledger = ledger
        self._journal = journal
        self._store = store
        self._offload = offload
        self._clock = clock
        self._observer = observer
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for work soon."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        retry_seconds = RETRY_SECONDS_MIN
        while True:
            self._woken.clear()
            is_done = await self._work_through()
            retry_seconds = RETRY_SECONDS_MIN if is_done else retry_seconds * 2
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    None if is_done else min(retry_seconds, RETRY_SECONDS_MAX)
                ):
                    await self._woken.wait()

    async def _work_through(self) -> bool:
        """Number and render everything; return whether nothing is left."""
        if not await self._number():
            return False
        is_done, after = True, 0
        while waiting := self._index.unrendered(RENDERED_AT_ONCE, after):
            after = waiting[-1][0]
            is_done = await self._render_some([email for _, email in waiting]) and is_done
            if self._woken.is_set():  # what came meanwhile shows before the rest is rendered
                self._woken.clear()
                if not await self._number():
                    return False
        return is_done

    async def _number(self) -> bool:
        try:
            await self._journal.reserve_modseqs()
            await self.number_everything()
        except EpostError as error:
            self._observer.record(MailWorkFailed("numbers", error))
            return False
        return True

    def next_uid_validity(self) -> int:
        """Return a UIDVALIDITY that this device has not used for any folder."""
        seconds = self._clock.wall_ms() // 1000
        return min(max(self._ledger.state.uid_validity_last + 1, seconds), UID_VALIDITY_MAX)

    async def number_everything(self) -> None:
        """Give UIDs to all mails that are known and have none."""
        await self._number_folders()
        await self._number_mails()

    async def _number_folders(self) -> None:
        """Begin to number the folders that are new to this device."""
        async with self._journal.turn:
            waiting = {mail.folder for mail in self._index.unnumbered(NAMES_PER_RECORD_MAX)}
            known = self._ledger.folders
            unnumbered = [name for name, row in known.items() if not row.uid_validity]
            unnumbered += waiting - known.keys()
            if unnumbered:
                first = self.next_uid_validity()
                await self._journal.write(
                    [UidValidity(f, first + i) for i, f in enumerate(sorted(unnumbered))]
                )

    async def _number_mails(self) -> None:
        while True:
            async with self._journal.turn:
                stays: dict[bytes, list[Stay]] = defaultdict(list)
                for mail in self._index.unnumbered(NUMBERED_AT_ONCE):
                    stays[mail.folder].append(Stay(mail.name, mail.since))
                if not stays:
                    return
                await self._journal.write(
                    [
                        UidRange(folder, some)
                        for folder, numbered in stays.items()
                        for some in in_chunks(numbered, NAMES_PER_RECORD_MAX)
                    ]
                )

    async def _render_some(self, emails: Sequence[bytes]) -> bool:
        """Render these mails, in one transaction if they are short; return whether all are."""
        is_done = True
        made: list[tuple[bytes, Rendition]] = []
        for email in emails:
            try:
                made.append((email, await self._rendition(email)))
            except EpostError as error:
                is_done = False
                self._observer.record(MailWorkFailed("rendition", error))
            if sum(len(rendition.body_text) for _, rendition in made) > TEXT_AT_ONCE_MAX:
                is_done = self._keep(made) and is_done
                made = []
            await asyncio.sleep(0)
        return self._keep(made) and is_done

    def _keep(self, made: Sequence[tuple[bytes, Rendition]]) -> bool:
        try:
            self._ledger.put_renditions(made)
        except EpostError as error:
            self._observer.record(MailWorkFailed("rendition", error))
            return False
        return True

    async def render(self, email: bytes) -> Rendition:
        """Render a mail now and keep it; raises UnavailableError if it cannot be had."""
        rendition = await self._rendition(email)
        self._ledger.put_renditions([(email, rendition)])
        return rendition

    async def _rendition(self, email: bytes) -> Rendition:
        content = self._index.content(email)
        if content is None:
            raise UnavailableError("the mail has not reached this device yet")
        octets = await self._store.get(content)
        return (await read_mail(octets, self._offload))[1]
