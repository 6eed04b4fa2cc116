"""What a machine itself has to say to its user is put into her inbox."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from epost.apps.mail.mailbox import INBOX, NewMail
from epost.apps.mail.service import MailService
from epost.foundation.ports import Clock


async def put_in_inbox(mail: MailService, name: str, subject: str, text: str, clock: Clock) -> None:
    """Put a mail of this machine's own into its user's inbox."""
    date = format_datetime(datetime.fromtimestamp(clock.wall_ms() / 1000, UTC))
    head = (
        f"From: {name}\r\nTo: {name}\r\nDate: {date}\r\n"
        f"Subject: {subject}\r\nAuto-Submitted: auto-generated\r\n\r\n"
    )
    inbox = await mail.mailbox.open(INBOX)
    await inbox.append([NewMail((head + text).encode())])
