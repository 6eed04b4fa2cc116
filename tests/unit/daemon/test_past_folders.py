"""`epost folder NAME --at TIME` on a real daemon: what people recognise mails by."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = pytest.mark.timeout(180)


def test_mails_are_listed_with_sender_and_subject(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        message_id, octets = compose("alice@example.org", ["alice@example.org"], subject="Grüße")
        await asyncio.to_thread(org.submit, "alice", "alice", octets)
        await asyncio.to_thread(org.read, "alice", message_id)
        in_an_hour = round(1000 * (time.time() + 3600))
        held = await org.ask("alice", "folder-at", folder="INBOX", at_ms=in_an_hour)
        (mail,) = held["mails"]
        assert (mail["from"], mail["subject"]) == ("alice@example.org", "Grüße")

    organisation(tmp_path, story)
