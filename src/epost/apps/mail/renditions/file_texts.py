"""The text of attached files, read and made searchable after their mails show.

Which mails wait stands in the index, in the transaction that lets them show, and what was read is
entered in the transaction that ends the waiting: a crash between the two has them read again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from itertools import islice

from epost.apps.mail.index import MailIndex
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.mime.decoding import decoded
from epost.apps.mail.mime.structure import Part, parse_structure
from epost.apps.mail.observed import MailWorkFailed
from epost.apps.mail.ports import Offload, ReadFile, work_on
from epost.apps.mail.renditions.text_search import BODY_CHARACTERS_MAX, files_to_read, searchable
from epost.foundation.errors import EpostError, UnavailableError
from epost.foundation.octets import Octets
from epost.foundation.ports import Observer

FILES_READ_MAX = 100
"""Of one mail."""
RETRY_SECONDS = 3600.0


class FileTexts:
    """Reads one mail's files after the other's, and again whenever it is woken."""

    def __init__(
        self,
        *,
        index: MailIndex,
        ledger: Ledger,
        store: MailStore,
        read_file: ReadFile,
        offload: Offload,
        observer: Observer,
    ) -> None:
        self._index = index
        self._ledger = ledger
        self._store = store
        self._read_file = read_file
        self._offload = offload
        self._observer = observer
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for mails whose files wait."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._woken.clear()
            is_done = await self._work_through()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if is_done else RETRY_SECONDS):
                    await self._woken.wait()

    async def _work_through(self) -> bool:
        """Read the files of all mails that wait; return whether that succeeded."""
        is_done, after = True, 0
        try:
            while waiting := self._index.with_unread_files(after):
                after = waiting[0]
                is_done = await self._read(waiting[1]) and is_done
        except EpostError as error:
            self._observer.record(MailWorkFailed("texts of files", error))
            return False
        return is_done

    async def _read(self, email: bytes) -> bool:
        try:
            text = await self._text_of(email)
            self._ledger.put_file_text(email, searchable(text))
        except EpostError as error:
            self._observer.record(MailWorkFailed("texts of files", error))
            return False
        return True

    async def _text_of(self, email: bytes) -> str:
        content = self._index.content(email)
        if content is None:
            raise UnavailableError("the mail has not reached this device yet")
        octets = await self._store.get(content)
        structure = await work_on(len(octets), partial(parse_structure, octets), self._offload)
        texts: list[str] = []
        room = BODY_CHARACTERS_MAX
        for kind, part in islice(files_to_read(structure), FILES_READ_MAX):
            file = await work_on(len(part.body), partial(_file, octets, part), self._offload)
            texts.append((await self._read_file(kind, file))[:room])
            room -= len(texts[-1])
            if room <= 0:
                break
        return "\n".join(texts)


def _file(octets: Octets, part: Part) -> bytes:
    return decoded(part.body.cut(octets), part.content.encoding)
