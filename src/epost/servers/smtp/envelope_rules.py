"""Decides about senders and recipients: the hooks that aiosmtpd calls for MAIL and RCPT."""

from typing import assert_never

from aiosmtpd.smtp import SMTP, Envelope, Session

from epost.apps.mail.submission import RecipientVerdict
from epost.foundation.errors import EpostError
from epost.servers.smtp.config import SmtpConfig
from epost.servers.smtp.paths import NULL_SENDER
from epost.servers.smtp.replies import (
    NO_GATEWAY,
    NO_SUCH_RECIPIENT,
    RECIPIENT_OK,
    RECIPIENT_UNRESOLVED,
    SENDER_OK,
    TOO_MANY_RECIPIENTS,
    Reply,
    reply_for,
)
from epost.servers.smtp.submission import Submitter

NEEDS_SMTPUTF8 = Reply(553, "5.6.7", "this address needs MAIL with SMTPUTF8")
NO_NULL_RECIPIENT = Reply(553, "5.1.3", "a recipient needs an address")


class AccountSession(Session):
    """The library's state of a connection, and who has logged in; begins anew with TLS."""

    account = ""


class EnvelopeRules:
    """The handler of a session; the library finds its hooks by their names."""

    def __init__(self, submitter: Submitter, config: SmtpConfig) -> None:
        self._submitter = submitter
        self._config = config

    async def handle_MAIL(  # noqa: N802 - the library's name
        self,
        _server: SMTP,
        session: AccountSession,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Accept a sender that the account may use."""
        if not (address.isascii() or envelope.smtp_utf8):
            return str(NEEDS_SMTPUTF8)
        sender = "" if address == NULL_SENDER else address
        try:
            await self._submitter.check_sender(session.account, sender)
        except EpostError as error:
            return str(reply_for(error))
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return str(SENDER_OK)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self,
        _server: SMTP,
        session: AccountSession,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Accept a recipient, once; more of the same address change nothing."""
        if address == NULL_SENDER:
            return str(NO_NULL_RECIPIENT)
        if not (address.isascii() or envelope.smtp_utf8):
            return str(NEEDS_SMTPUTF8)
        if len(envelope.rcpt_tos) >= self._config.recipients_max:
            return str(TOO_MANY_RECIPIENTS)
        try:
            verdict = await self._submitter.check_recipient(session.account, address)
        except EpostError as error:
            return str(reply_for(error))
        reply = _reply_to(verdict)
        if reply.code == 250 and address not in envelope.rcpt_tos:
            envelope.rcpt_tos.append(address)
        return str(reply)


def _reply_to(verdict: RecipientVerdict) -> Reply:
    match verdict:
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
