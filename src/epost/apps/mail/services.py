"""What the mail application is put together from: POST's services and the world."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from epost.apps.mail.mail_store import Messages
from epost.apps.mail.ports import (
    DeviceLog,
    LogSnapshots,
    Names,
    Reading,
    RunStory,
    Sending,
    Siblings,
)
from epost.foundation.ports import Clock, Entropy, Observer
from epost.foundation.spool import IN_MEMORY, Spool


@dataclass(frozen=True, slots=True)
class MailServices:
    """What the application is given: POST's services and the world."""

    log: DeviceLog
    siblings: Siblings
    messages: Messages
    sending: Sending
    names: Names
    clock: Clock
    entropy: Entropy
    observer: Observer
    snapshots: LogSnapshots | None = None
    reading: Reading | None = None
    run_story: RunStory = asyncio.ensure_future
    spool: Spool = IN_MEMORY
