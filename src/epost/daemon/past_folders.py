"""`epost folder NAME --at TIME`: the answer of a running node, as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from epost.apps.mail.folders.past_folder import PastMail, folder_at
from epost.apps.mail.mime.headers import HeaderFields, decode_words, read_fields
from epost.daemon.control import Command
from epost.foundation.errors import NoSuchMail
from epost.node.assembly import Node

MAILS_MAX = 2_000
"""Mails that are listed, the newest; all are counted."""
READ_PER_SLICE = 50
CHARACTERS_MAX = 200
"""Of a sender or subject."""


class PastFolders:
    """Reads the account's logs up to a time."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def commands(self) -> dict[str, Command]:
        """Return the commands of the control socket by name."""
        return {"folder-at": self._folder_at}

    async def _folder_at(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a folder held; raises NoSuchMail if there was none of this name."""
        post, name = self._node.post, str(request.get("folder", ""))
        if post is None:
            raise NoSuchMail("this machine only stores: it has no account")
        folder = await folder_at(post.history, name, int(request.get("at_ms", 0)))
        listed = folder.mails[-MAILS_MAX:]
        said = await self._said([bytes.fromhex(mail.email_id) for mail in listed])
        return {
            "folder": folder.name,
            "messages": len(folder.mails),
            "undated_records": folder.undated,
            "mails": [_mail(mail, said.get(mail.email_id, {})) for mail in listed],
        }

    async def _said(self, emails: Sequence[bytes]) -> Mapping[str, Mapping[str, str]]:
        """Return sender and subject of those mails that the index knows, removed ones too."""
        said: dict[str, Mapping[str, str]] = {}
        if self._node.mail is None:
            return said
        index = self._node.mail.index
        for start in range(0, len(emails), READ_PER_SLICE):
            facts = index.facts(emails[start : start + READ_PER_SLICE])
            headers = index.headers([known.position for known in facts.values()])
            for email, known in facts.items():
                fields = read_fields(headers.get(known.position) or b"")
                said[email.hex()] = {name: _shown(fields, name) for name in ("from", "subject")}
            await asyncio.sleep(0)
        return said


def _shown(fields: HeaderFields, name: str) -> str:
    return decode_words(fields.first(name) or "")[:CHARACTERS_MAX]


def _mail(mail: PastMail, said: Mapping[str, str]) -> dict[str, Any]:
    return {
        "email_id": mail.email_id,
        "received_ms": 1000 * mail.date.seconds,
        "size": mail.size,
        "flags": sorted(mail.flags),
        "from": said.get("from", ""),
        "subject": said.get("subject", ""),
    }
