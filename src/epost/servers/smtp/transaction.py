"""One mail on its way in: from whom, for whom, asked for what, and its text so far."""

from typing import assert_never

from aiosmtpd.smtp import Envelope, Session

from epost.apps.mail.delivery.delivery_wishes import DeliveryWishes, RecipientWishes
from epost.apps.mail.delivery.submission import RecipientVerdict, Renamed, Terms
from epost.foundation.errors import EpostError
from epost.servers.smtp.config import SmtpConfig
from epost.servers.smtp.message_text import MessageText
from epost.servers.smtp.parameters import MailOptions, RecipientOptions
from epost.servers.smtp.paths import NULL_SENDER
from epost.servers.smtp.replies import (
    NEEDS_SMTPUTF8,
    NO_GATEWAY,
    NO_NULL_RECIPIENT,
    NO_SUCH_RECIPIENT,
    RECIPIENT_OK,
    RECIPIENT_UNRESOLVED,
    SENDER_OK,
    TOO_MANY_RECIPIENTS,
    Reply,
    renamed,
    reply_for,
)
from epost.servers.smtp.submission import Submitter

ACCEPTED = (250, 251)


class AccountSession(Session):
    """The library's state of a connection, and who has logged in; begins anew with TLS."""

    account = ""


class Transaction(Envelope):
    """The library's envelope, and what it does not know; it makes a new one for each mail."""

    def __init__(self) -> None:
        super().__init__()
        self.options = MailOptions()
        self.recipients: dict[str, RecipientOptions] = {}
        self.chunks: MessageText | None = None  # a mail that has begun with BDAT

    @property
    def has_begun(self) -> bool:
        """Has MAIL been accepted?"""
        return self.mail_from is not None

    @property
    def sender(self) -> str:
        """The sender's address, empty for the null sender."""
        return "" if self.mail_from in (None, NULL_SENDER) else str(self.mail_from)

    def terms(self) -> Terms:
        """Return what the client asked for, as the application takes it."""
        options = self.options
        ordinary = RecipientOptions()
        wishes = DeliveryWishes(
            envelope_id=options.envelope_id,
            returns_full=options.returns_full,
            hold=options.hold,
            recipients=tuple(
                RecipientWishes(address, int(asked.notify), asked.original)
                for address, asked in self.recipients.items()
                if asked != ordinary
            ),
        )
        return Terms(wishes, not_before_ms=options.not_before_ms, is_binary=options.is_binary)


class EnvelopeRules:
    """Decides about senders and recipients."""

    def __init__(self, submitter: Submitter, config: SmtpConfig) -> None:
        self._submitter = submitter
        self._config = config

    async def take_sender(
        self, account: str, mail: Transaction, address: str, options: MailOptions
    ) -> Reply:
        """Begin a mail of a sender that the account may use."""
        if not (address.isascii() or options.is_international):
            return NEEDS_SMTPUTF8
        sender = "" if address == NULL_SENDER else address
        try:
            await self._submitter.check_sender(account, sender)
        except EpostError as error:
            return reply_for(error)
        mail.mail_from = address
        mail.options = options
        return SENDER_OK

    async def take_recipient(
        self, account: str, mail: Transaction, address: str, options: RecipientOptions
    ) -> Reply:
        """Accept a recipient, once; more of the same address change nothing."""
        if address == NULL_SENDER:
            return NO_NULL_RECIPIENT
        if not (address.isascii() or mail.options.is_international):
            return NEEDS_SMTPUTF8
        if len(mail.recipients) >= self._config.recipients_max:
            return TOO_MANY_RECIPIENTS
        try:
            verdict = await self._submitter.check_recipient(account, address)
        except EpostError as error:
            return reply_for(error)
        reply = _reply_to(verdict)
        if reply.code in ACCEPTED:
            mail.recipients.setdefault(address, options)
        return reply


def _reply_to(verdict: RecipientVerdict | Renamed) -> Reply:
    match verdict:
        case Renamed(address):
            return renamed(address)
        case RecipientVerdict.KNOWN:
            return RECIPIENT_OK
        case RecipientVerdict.UNRESOLVED:
            return RECIPIENT_UNRESOLVED
        case RecipientVerdict.UNKNOWN:
            return NO_SUCH_RECIPIENT
        case RecipientVerdict.OTHER_DOMAIN:
            return NO_GATEWAY
        case _:
            assert_never(verdict)
