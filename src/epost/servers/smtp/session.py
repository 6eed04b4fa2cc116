"""The commands of a submission session (RFC 6409): the greeting, and a mail's way in.

EHLO, MAIL, RCPT, DATA and BDAT are ours; the plain commands are the library's.
"""

import re

from epost.apps.mail.delivery.delivery_wishes import HOLD_SECONDS_MAX
from epost.foundation.errors import EpostError
from epost.foundation.octets import Octets
from epost.servers.smtp import replies
from epost.servers.smtp.connection import HangUp
from epost.servers.smtp.login import LoginConnection
from epost.servers.smtp.message_text import (
    Discarded,
    FarTooLarge,
    Flaw,
    MessageText,
    read_chunk,
    read_data,
)
from epost.servers.smtp.parameters import (
    BadParameters,
    format_utc,
    read_mail_options,
    read_recipient_options,
)
from epost.servers.smtp.paths import read_path
from epost.servers.smtp.replies import Reply
from epost.servers.smtp.services import SessionHost, SubmissionServices
from epost.servers.smtp.transaction import EnvelopeRules, Transaction

_OFFERS = (
    *("8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES"),
    *("CHUNKING", "BINARYMIME", "DSN"),
)
_CHUNK = re.compile(r"(?P<size>\d{1,12})(?P<last> +LAST)?", re.ASCII | re.IGNORECASE)


class SubmissionSession(LoginConnection):
    """A connection on which an account submits mail."""

    def __init__(self, services: SubmissionServices, host: SessionHost) -> None:
        super().__init__(services, host)
        self._rules = EnvelopeRules(services.submitter, services.config)

    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802
        """Greet and announce what is offered (RFC 5321 section 4.1.1.1)."""
        assert self.session is not None
        if not hostname:
            await self._reply(replies.BAD_ARGUMENT)
            return
        self._forget_mail()
        self.session.extended_smtp = True
        self.session.host_name = hostname
        offers = [self.hostname, *self._offers()]
        lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
        await super().push("\r\n".join(lines))

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        """Begin a mail (RFC 5321 section 4.1.1.2)."""
        if await self.check_helo_needed() or await self.check_auth_needed("MAIL"):
            return
        try:
            await self._reply(await self._begin(arg or ""))
        except BadParameters as error:
            await self._reply(error.reply)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """Name a recipient (RFC 5321 section 4.1.1.3)."""
        if await self.check_helo_needed() or await self.check_auth_needed("RCPT"):
            return
        try:
            await self._reply(await self._add_recipient(arg or ""))
        except BadParameters as error:
            await self._reply(error.reply)

    async def smtp_HELP(self, arg: str | None) -> None:  # noqa: N802
        """Name the commands (RFC 5321 section 4.1.1.8)."""
        await self._reply(replies.HELP)

    async def smtp_VRFY(self, arg: str | None) -> None:  # noqa: N802
        """Tell nobody who exists."""
        await self._reply(replies.CANNOT_VERIFY if arg else replies.BAD_ARGUMENT)

    async def smtp_EXPN(self, arg: str | None) -> None:  # noqa: N802
        """Tell nobody who is on a list."""
        await self._reply(replies.NOT_IMPLEMENTED)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take a mail (RFC 5321 section 4.1.1.4)."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if refusal := self._refusal_of_data(arg):
            await self._reply(refusal)
            return
        await self.push("354 end with a line of a single dot")
        text = self._new_text(is_dot_stuffed=True)
        try:
            await read_data(self._reader, text, self._arm)
        except FarTooLarge as error:
            raise HangUp(replies.TOO_MUCH_DATA) from error
        await self._reply(await self._finish(text))

    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802
        """Take a chunk of a mail (RFC 3030).

        Its octets are read whatever is wrong with it, or the session ends: none is ever taken for
        a command.
        """
        assert self.session is not None
        chunk = _CHUNK.fullmatch(arg or "")
        if chunk is None or not self.session.authenticated:
            raise HangUp(replies.BAD_ARGUMENT if self.session.authenticated else replies.NO_LOGIN)
        refusal = self._refusal_of_text()
        mail = self._mail()
        if mail.chunks is None and refusal is None:
            mail.chunks = self._new_text(is_dot_stuffed=False)
        text = mail.chunks or Discarded(self._config.message_bytes_max)
        try:
            await read_chunk(self._reader, int(chunk["size"]), text, self._arm)
        except FarTooLarge as error:
            raise HangUp(replies.TOO_MUCH_DATA) from error
        if isinstance(text, Discarded):
            assert refusal is not None
            await self._reply(refusal)
        elif chunk["last"] or text.flaw is not None:
            await self._reply(await self._finish(text))
        else:
            await self._reply(Reply(250, "2.0.0", f"{chunk['size']} octets received"))

    # What is offered

    def _offers(self) -> list[str]:
        config = self._config
        latest = format_utc(self._services.wall_ms() + 1000 * HOLD_SECONDS_MAX)
        return [
            f"SIZE {config.message_bytes_max}",
            *_OFFERS,
            *(["REQUIRETLS"] if self._is_encrypted() else []),
            f"FUTURERELEASE {HOLD_SECONDS_MAX} {latest}",
            f"LIMITS RCPTMAX={config.recipients_max}",
            *self._login_offers(),
        ]

    # The transaction

    def _mail(self) -> Transaction:
        assert isinstance(self.envelope, Transaction)
        return self.envelope

    def _create_envelope(self) -> Transaction:
        return Transaction()

    def _forget_mail(self) -> None:
        self.envelope = self._create_envelope()

    async def _begin(self, arg: str) -> Reply:
        if self._mail().has_begun:
            return replies.NESTED_MAIL
        address, rest = _read_argument("FROM:", arg)
        if rest and not self._is_extended():
            return replies.BAD_ARGUMENT
        options = read_mail_options(
            rest,
            size_max=self._config.message_bytes_max,
            is_tls=self._is_encrypted(),
            now_ms=self._services.wall_ms(),
        )
        return await self._rules.take_sender(self._account(), self._mail(), address, options)

    async def _add_recipient(self, arg: str) -> Reply:
        if not self._mail().has_begun:
            return replies.NEEDS_MAIL
        if self._mail().chunks is not None:
            return replies.AMONG_CHUNKS
        address, rest = _read_argument("TO:", arg)
        if rest and not self._is_extended():
            return replies.BAD_ARGUMENT
        options = read_recipient_options(rest)
        return await self._rules.take_recipient(self._account(), self._mail(), address, options)

    def _is_extended(self) -> bool:
        assert self.session is not None
        return bool(self.session.extended_smtp)

    def _refusal_of_data(self, arg: str | None) -> Reply | None:
        if refusal := self._refusal_of_text():
            return refusal
        if self._mail().options.is_binary:
            return replies.BINARY_NEEDS_BDAT
        if self._mail().chunks is not None:
            return replies.AMONG_CHUNKS
        return replies.BAD_ARGUMENT if arg else None

    def _refusal_of_text(self) -> Reply | None:
        if not self._mail().has_begun:
            return replies.NEEDS_MAIL
        return None if self._mail().recipients else replies.NEEDS_RECIPIENT

    def _new_text(self, *, is_dot_stuffed: bool) -> MessageText:
        return MessageText(
            size_max=self._config.message_bytes_max,
            is_dot_stuffed=is_dot_stuffed,
            is_binary=self._mail().options.is_binary,
            spool=self._services.spool,
        )

    async def _finish(self, text: MessageText) -> Reply:
        """End the transaction, with what is to be said about its mail."""
        self._disarm()
        match await text.finish():
            case Flaw.TOO_LARGE:
                reply = replies.TOO_LARGE
            case Flaw.BARE_LINE_END:
                reply = replies.BARE_LINE_END
            case Flaw.NULL_OCTET:
                reply = replies.NULL_OCTET
            case Flaw.NO_ROOM:
                reply = replies.NO_ROOM
            case octets:
                reply = await self._submit(octets)
        self._forget_mail()
        return reply

    async def _submit(self, octets: Octets) -> Reply:
        mail = self._mail()
        work = self._services.submitter.submit(
            self._account(), mail.sender, tuple(mail.recipients), octets, mail.terms()
        )
        self._is_submitting = True
        try:
            done = await self._host.to_the_end(work)
        except EpostError as error:
            return replies.reply_for(error)
        finally:
            self._is_submitting = False
        where = f"on {done.machines} of {done.machines_wanted} machines"
        moment = mail.options.not_before_ms
        held = f", held until {format_utc(moment)}" if moment else ""
        return Reply(250, "2.0.0", f"{done.durability}: {where}, {done.id}{held}")


def _read_argument(keyword: str, arg: str) -> tuple[str, str]:
    """Return the address of MAIL or RCPT and what follows; raises BadParameters."""
    if arg[: len(keyword)].upper() != keyword:
        raise BadParameters(replies.BAD_ARGUMENT)
    found = read_path(arg[len(keyword) :].lstrip(" "))
    if found is None:
        raise BadParameters(replies.BAD_ADDRESS)
    return found
