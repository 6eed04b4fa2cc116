"""The commands of a submission session (RFC 6409): our own login and reading of mails.

EHLO, AUTH, DATA and BDAT are ours; MAIL, RCPT and the plain commands are the library's, with our
grammar of addresses and with `EnvelopeRules` deciding.
"""

import base64
import re
from typing import assert_never

from epost.foundation.errors import EpostError
from epost.servers.access import (
    Accepted,
    Challenge,
    Channel,
    Malformed,
    Rejected,
    SaslExchange,
    Scope,
    TryLater,
)
from epost.servers.smtp import replies
from epost.servers.smtp.config import PlaintextLogin
from epost.servers.smtp.connection import HangUp, StrictConnection
from epost.servers.smtp.envelope_rules import AccountSession
from epost.servers.smtp.message_text import (
    FarTooLarge,
    Flaw,
    MessageText,
    read_chunk,
    read_data,
)
from epost.servers.smtp.paths import NULL_SENDER, read_path
from epost.servers.smtp.replies import Reply
from epost.servers.smtp.services import SessionHost, SubmissionServices

LOGIN_STEPS_MAX = 8

_OFFERS = ("8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING")
_CHUNK = re.compile(r"(?P<size>\d{1,12})(?P<last> +LAST)?", re.ASCII | re.IGNORECASE)
_AUTH_PARAMETER = re.compile(r"(>.*?) AUTH=\S+", re.IGNORECASE)


class SubmissionSession(StrictConnection):
    """A connection on which an account submits mail."""

    def __init__(self, services: SubmissionServices, host: SessionHost) -> None:
        super().__init__(services, host)
        self._chunks: MessageText | None = None  # a mail that has begun with BDAT

    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802
        """Greet and announce what is offered (RFC 5321 section 4.1.1.1)."""
        assert self.session is not None
        if not hostname:
            await self._reply(replies.BAD_ARGUMENT)
            return
        self._set_post_data_state()
        self.session.extended_smtp = True
        self.session.host_name = hostname
        offers = [self.hostname, f"SIZE {self._config.message_bytes_max}", *_OFFERS]
        if self.tls_context is not None and not self._is_encrypted():
            offers.append("STARTTLS")
        if self._may_log_in():
            mechanisms = self._services.authenticator.mechanisms(self._channel())
            offers.append(f"AUTH {' '.join(mechanisms)}")
        lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
        await super().push("\r\n".join(lines))

    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802
        """Begin TLS once; the library forgets login, greeting and buffered octets (RFC 3207)."""
        if self._is_encrypted() or self.tls_context is None:
            await self._reply(replies.NOT_IMPLEMENTED)
        else:
            await super().smtp_STARTTLS(arg or "")

    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802
        """Log in (RFC 4954)."""
        await self._reply(await self._log_in(arg or ""))

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        """Begin a mail; an AUTH parameter is allowed and means nothing here (RFC 4954)."""
        await super().smtp_MAIL(_AUTH_PARAMETER.sub(r"\1", arg) if arg else None)

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
        refusal = self._refusal_of_text()
        if arg or refusal or self._chunks:
            await self._reply(refusal or (replies.BAD_ARGUMENT if arg else replies.AMONG_CHUNKS))
            return
        await self.push("354 end with a line of a single dot")
        text = self._new_text(is_dot_stuffed=True)
        try:
            await read_data(self._reader, text, self._arm)
        except FarTooLarge as error:
            raise HangUp(replies.TOO_MUCH_DATA) from error
        await self._finish_mail(text)

    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802
        """Take a chunk of a mail (RFC 3030)."""
        assert self.session is not None
        chunk = _CHUNK.fullmatch(arg or "")
        if chunk is None or not self.session.authenticated:
            # Where the chunk ends is unknown or not worth reading: nothing behind it is a command.
            raise HangUp(replies.BAD_ARGUMENT if self.session.authenticated else replies.NO_LOGIN)
        refusal = self._refusal_of_text()
        text = self._chunks or self._new_text(is_dot_stuffed=False)
        try:
            await read_chunk(self._reader, int(chunk["size"]), text, self._arm)
        except FarTooLarge as error:
            raise HangUp(replies.TOO_MUCH_DATA) from error
        if refusal is not None:
            await self._reply(refusal)
        elif chunk["last"]:
            await self._finish_mail(text)
        else:
            self._chunks = text
            await self._reply(Reply(250, "2.0.0", f"{chunk['size']} octets received"))

    # Login

    def _may_log_in(self) -> bool:
        return self._is_encrypted() or self._config.plaintext_login is not PlaintextLogin.NONE

    def _channel(self) -> Channel:
        is_encrypted = self._is_encrypted()
        passwords_in_plain = self._config.plaintext_login is PlaintextLogin.PASSWORDS
        tls = self._services.tls
        return Channel(
            source=self._peer()[0],
            scope=Scope.MAIL,
            passwords_allowed=is_encrypted or passwords_in_plain,
            tls_server_end_point=tls.server_end_point if tls and is_encrypted else None,
        )

    async def _log_in(self, arg: str) -> Reply:
        assert self.session is not None
        if not self.session.extended_smtp:
            return replies.NEEDS_EHLO
        if self.session.authenticated:
            return replies.LOGGED_IN_ALREADY
        if not self._may_log_in():
            return replies.LOGIN_NEEDS_TLS
        mechanism, _, initial = arg.partition(" ")
        exchange = self._services.authenticator.begin(mechanism, self._channel())
        if exchange is None:
            return replies.NO_SUCH_MECHANISM
        try:
            response = _initial_response(initial)
        except ValueError:
            return replies.LOGIN_MALFORMED
        return await self._converse(exchange, response)

    async def _converse(self, exchange: SaslExchange, response: bytes | None) -> Reply:
        for _ in range(LOGIN_STEPS_MAX):
            outcome = await exchange.step(response)
            if not isinstance(outcome, Challenge):
                return self._login_reply(outcome)
            await self.push(b"334 " + base64.b64encode(outcome.data))
            answer = await self._read_line(self._config.login_line_bytes_max)
            if answer == b"*":
                return replies.LOGIN_ABORTED
            try:
                response = base64.b64decode(answer, validate=True)
            except ValueError:
                return replies.LOGIN_MALFORMED
        return replies.LOGIN_MALFORMED

    def _login_reply(self, outcome: Accepted | Rejected | TryLater | Malformed) -> Reply:
        assert isinstance(self.session, AccountSession)
        match outcome:
            case Accepted(account=account):
                self.session.authenticated = True
                self.session.account = account
                return replies.LOGGED_IN
            case Rejected():
                return replies.LOGIN_FAILED
            case TryLater():
                return replies.LOGIN_LATER
            case Malformed():
                return replies.LOGIN_MALFORMED
            case _:
                assert_never(outcome)

    # The transaction

    def _set_post_data_state(self) -> None:
        self.envelope = self._create_envelope()
        self._chunks = None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Read a path strictly; the library's own reading takes everything of RFC 5322."""
        found = read_path(arg)
        return found if found is not None and found[1].isascii() else (None, None)

    def _refusal_of_text(self) -> Reply | None:
        assert self.envelope is not None
        if not self.envelope.mail_from:
            return replies.NEEDS_MAIL
        return None if self.envelope.rcpt_tos else replies.NEEDS_RECIPIENT

    def _new_text(self, *, is_dot_stuffed: bool) -> MessageText:
        return MessageText(size_max=self._config.message_bytes_max, is_dot_stuffed=is_dot_stuffed)

    async def _finish_mail(self, text: MessageText) -> None:
        self._disarm()
        match text.finish():
            case Flaw.TOO_LARGE:
                reply = replies.TOO_LARGE
            case Flaw.BARE_LINE_END:
                reply = replies.BARE_LINE_END
            case octets:
                reply = await self._submit(octets)
        self._set_post_data_state()
        await self._reply(reply)

    async def _submit(self, octets: bytes) -> Reply:
        assert isinstance(self.session, AccountSession)
        assert self.envelope is not None
        sender = self.envelope.mail_from
        work = self._services.submitter.submit(
            self.session.account,
            "" if sender in (None, NULL_SENDER) else str(sender),
            tuple(self.envelope.rcpt_tos),
            octets,
        )
        self._is_submitting = True
        try:
            done = await self._host.to_the_end(work)
        except EpostError as error:
            return replies.reply_for(error)
        finally:
            self._is_submitting = False
        where = f"on {done.machines} of {done.machines_wanted} machines"
        return Reply(250, "2.0.0", f"{done.durability}: {where}, {done.id}")


def _initial_response(text: str) -> bytes | None:
    """Decode the initial response of AUTH; "=" is an empty one, nothing is none."""
    if not text:
        return None
    return b"" if text == "=" else base64.b64decode(text, validate=True)
