"""What the SMTP server asks of the mail application."""

from collections.abc import Sequence
from typing import Protocol

from epost.apps.mail.delivery.submission import RecipientVerdict, Renamed, Submitted, Terms
from epost.foundation.octets import Octets


class Submitter(Protocol):
    """Takes mails of authenticated accounts; raises errors of `foundation.errors`."""

    async def check_sender(self, account: str, address: str) -> None:
        """Raise `NotPermitted` unless the account may send under this address.

        `address` is empty for the null sender of notifications (RFC 5321 section 4.5.5).
        """
        ...

    async def check_recipient(self, account: str, address: str) -> RecipientVerdict | Renamed:
        """Say what becomes of mail to this address; must not wait long."""
        ...

    async def submit(
        self, account: str, sender: str, recipients: Sequence[str], octets: Octets, terms: Terms
    ) -> Submitted:
        """Return when the mail is durable in the sense of the answer.

        `terms` name recipients by these addresses. Goes on to its end when the client has gone.
        Raises `NotPermitted` for a From: field that is not the account's.
        """
        ...
