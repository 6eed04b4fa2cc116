"""One SMTP connection: aiosmtpd's SMTP, made strict about lines, time and errors.

The library keeps the connection and the timer, STARTTLS, the state of the transaction and the plain
commands. Replaced are the reading of commands (CRLF only; foreign protocols are hung up on) and the
writing of replies (enhanced codes, bounded errors). The library is pinned, because this relies on
its internals; the tests notice a change.
"""

import asyncio

from aiosmtpd.smtp import SMTP, TLSSetupException

from epost.servers.access import looks_like_foreign_protocol
from epost.servers.smtp import replies
from epost.servers.smtp.message_text import PIECE_BYTES
from epost.servers.smtp.replies import Reply
from epost.servers.smtp.services import SessionHost, SubmissionServices
from epost.servers.smtp.transaction import AccountSession


class HangUp(Exception):  # noqa: N818 - an end, not an error
    """Ends the session, with a last reply or without a word."""

    def __init__(self, reply: Reply | None) -> None:
        super().__init__(reply)
        self.reply = reply


class StrictConnection(SMTP):
    """A connection from its greeting to its end; subclasses add commands as smtp_NAME."""

    line_length_limit = PIECE_BYTES  # what the library's reader holds, not a rule for mails

    def __init__(self, services: SubmissionServices, host: SessionHost) -> None:
        config = services.config
        super().__init__(
            object(),  # no hooks: what a command does is ours
            data_size_limit=config.message_bytes_max,
            enable_SMTPUTF8=True,
            hostname=config.host_name,
            timeout=config.idle_seconds,
            tls_context=services.tls.context if services.tls and services.starttls else None,
            loop=asyncio.get_running_loop(),
        )
        self._auth_required = True
        self._services = services
        self._config = config
        self._host = host
        self._errors = 0
        self._is_submitting = False
        self._is_shutting_down = False
        self._is_tls = False

    def shut_down(self) -> None:
        """End the session: at once, or after the reply to a mail that is being submitted."""
        self._is_shutting_down = True
        if not self._is_submitting and self.transport is not None:
            self._say_goodbye(replies.SHUTTING_DOWN)

    async def ended(self) -> None:
        """Return when the session is over."""
        if self._handler_coroutine is not None:
            await asyncio.gather(self._handler_coroutine, return_exceptions=True)

    async def _handle_client(self) -> None:
        try:
            await self._serve()
        except HangUp as end:
            if end.reply is not None:
                self._say_goodbye(end.reply)
        except (asyncio.IncompleteReadError, ConnectionError, TLSSetupException):
            pass  # the client has gone
        except Exception as error:
            # The listener is a boundary: a mistake of ours must not pass for silence.
            self._say_goodbye(replies.BROKEN)
            context = {"message": "SMTP session failed", "exception": error, "protocol": self}
            self.loop.call_exception_handler(context)
        finally:
            self._host.forget(self)
            if self.transport is not None:
                self.transport.close()

    async def _serve(self) -> None:
        await self._admit()
        await self.push(f"220 {self.hostname} ESMTP ePOST")
        first_octet = await self._first_octet()
        await self._execute(await self._read_line(self._config.login_line_bytes_max, first_octet))
        while not self._is_shutting_down:
            await self._execute(await self._read_line(self._config.login_line_bytes_max))
        raise HangUp(replies.SHUTTING_DOWN)

    async def _admit(self) -> None:
        if not self._host.admit(self):
            raise HangUp(replies.TOO_MANY_CONNECTIONS)
        host, port = self._peer()
        local_port = self._transport_info("sockname")[1]
        if not await self._services.peer_check.allowed(host, port, local_port):
            raise HangUp(replies.PEER_REFUSED)

    async def _first_octet(self) -> bytes:
        """Read one octet: a TLS hello may not have a line end for a long time."""
        self._arm()
        octet = await self._reader.readexactly(1)
        if looks_like_foreign_protocol(octet):
            raise HangUp(None)
        return octet

    async def _read_line(self, size_max: int, begun: bytes = b"") -> bytes:
        """Return a line without its CRLF; any other line end, or a long line, ends the session."""
        self._arm()
        try:
            line = begun if begun == b"\n" else begun + await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise HangUp(replies.LINE_TOO_LONG) from error
        self._disarm()
        if len(line) > size_max:
            raise HangUp(replies.LINE_TOO_LONG)
        if not line.endswith(b"\r\n") or line.count(b"\r") > 1 or b"\x00" in line:
            raise HangUp(None if looks_like_foreign_protocol(line) else replies.BAD_LINE_END)
        return line[:-2]

    async def _execute(self, line: bytes) -> None:
        if looks_like_foreign_protocol(line):  # also what is not UTF-8
            raise HangUp(None)
        name, _, argument = line.decode().partition(" ")
        verb = name.upper()
        command = self._smtp_methods.get(verb)
        if command is None:
            await self._reply(replies.UNKNOWN_COMMAND)
        elif verb != "AUTH" and len(line) > self._config.line_bytes_max:
            await self._reply(replies.LINE_TOO_LONG)
        else:
            await command(argument.strip() or None)

    async def _reply(self, reply: Reply) -> None:
        await self.push(str(reply))

    async def push(self, status: str | bytes) -> None:
        """Send a reply line; too many protocol errors end the session."""
        assert self.session is not None
        line = status.decode() if isinstance(status, bytes) else status
        if self.session.extended_smtp:
            line = replies.with_status(line)
        self._arm()
        await super().push(line)
        self._disarm()
        self._errors += replies.is_protocol_error(line)
        if self._errors > self._config.errors_max:
            raise HangUp(replies.TOO_MANY_ERRORS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session; called once more when STARTTLS has put TLS in between."""
        # Noted here: a TLS transport that has hung up cannot be asked any more.
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        super().connection_made(transport)

    def eof_received(self) -> bool | None:
        """Let commands that are still buffered be answered, also after the client's last octet."""
        asyncio.StreamReaderProtocol.eof_received(self)
        return not self._is_encrypted()

    def _arm(self) -> None:
        is_known = self.session is not None and self.session.authenticated
        self._reset_timeout(self._config.idle_seconds if is_known else self._config.login_seconds)

    def _disarm(self) -> None:
        """Stop the timer while it is our turn: a submission takes as long as it takes."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()

    def _timeout_cb(self) -> None:
        self._say_goodbye(replies.TIMED_OUT)

    def _say_goodbye(self, reply: Reply) -> None:
        transport = self._writer.transport
        if transport.get_write_buffer_size() > 0:
            transport.abort()  # the client does not read: closing would wait for it
        elif not transport.is_closing():
            transport.write(f"{reply}\r\n".encode())
            transport.close()

    def _transport_info(self, name: str) -> tuple[str, int]:
        info = self._writer.transport.get_extra_info(name)
        return (str(info[0]), int(info[1])) if isinstance(info, tuple) else ("", 0)

    def _create_session(self) -> AccountSession:
        return AccountSession(self.loop)

    def _peer(self) -> tuple[str, int]:
        return self._transport_info("peername")

    def _is_encrypted(self) -> bool:
        return self._is_tls
