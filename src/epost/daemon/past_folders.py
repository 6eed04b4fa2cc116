"""`epost folder NAME --at TIME`: the answer of a running node, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epost.apps.mail.past_folder import PastMail, folder_at
from epost.daemon.control import Command
from epost.foundation.errors import NoSuchMail
from epost.node.assembly import Node

MAILS_MAX = 2_000
"""Mails that are listed, the newest; all are counted."""


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
        return {
            "folder": folder.name,
            "messages": len(folder.mails),
            "undated_records": folder.undated,
            "mails": [_mail(mail) for mail in folder.mails[-MAILS_MAX:]],
        }


def _mail(mail: PastMail) -> dict[str, Any]:
    return {
        "email_id": mail.email_id,
        "received_ms": 1000 * mail.date.seconds,
        "size": mail.size,
        "flags": sorted(mail.flags),
    }
