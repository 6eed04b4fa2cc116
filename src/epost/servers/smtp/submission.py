"""What the SMTP server asks of the mail application."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from epost.apps.mail.mailbox import Durability
from epost.servers.smtp.replies import Reply


class RecipientVerdict(Enum):
    """What is known about a recipient when its address is named."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    OTHER_DOMAIN = "other domain"  # and nobody carries mail there
    UNRESOLVED = "cannot be looked up now"  # accepted; bounces later if there is nobody


@dataclass(frozen=True, slots=True)
class Submitted:
    """What was promised for a mail, and where it stands at this moment."""

    durability: Durability
    machines: int
    machines_wanted: int
    id: str  # to be used with `epost trace`


class Submitter(Protocol):
    """Takes mails of authenticated accounts; raises errors of `foundation.errors`."""

    async def check_sender(self, account: str, address: str) -> Reply | None:
        """Return why the account may not send under this address; None: it may.

        `address` is empty for the null sender of notifications (RFC 5321 section 4.5.5).
        """
        ...

    async def check_recipient(self, account: str, address: str) -> RecipientVerdict:
        """Say what becomes of mail to this address; must not wait long."""
        ...

    async def submit(
        self, account: str, sender: str, recipients: Sequence[str], octets: bytes
    ) -> Submitted:
        """Return when the mail is durable in the sense of the answer.

        Goes on to its end when the client has gone. Raises `NotPermitted` for a From: field that
        is not the account's.
        """
        ...
