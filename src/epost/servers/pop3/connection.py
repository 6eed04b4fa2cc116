"""One client's connection: reads lines, performs them, writes what comes of it.

The daemon's listener makes one for every accepted client and awaits `serve`. Sockets and TLS stay
with the listener: it hands over a reader and a writer, and a way to upgrade them.
"""

import asyncio
from contextlib import AbstractAsyncContextManager

from epost.servers.access import (
    Channel,
    ClientGone,
    Conversation,
    Forbearance,
    Reader,
    StartTls,
    Writer,
    looks_like_foreign_protocol,
)
from epost.servers.pop3.dispatch import perform
from epost.servers.pop3.limits import READ_BYTES
from epost.servers.pop3.lines import err, ok
from epost.servers.pop3.session import Session
from epost.servers.pop3.site import Pop3Site


class Pop3Connection:
    """Serves one client from the greeting to the end."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        *,
        site: Pop3Site,
        channel: Channel,
        start_tls: StartTls | None = None,
    ) -> None:
        """`start_tls` upgrades the connection; None when STLS is not offered."""
        self._limits = site.limits
        self._conversation = Conversation(
            reader,
            writer,
            start_tls=start_tls,
            stalled_timeout_seconds=site.limits.stalled_timeout_seconds,
        )
        self._input = bytearray()
        self._is_first_line = True
        self._forbearance = Forbearance(
            bad_commands_max=site.limits.bad_commands_max,
            commands_before_login_max=site.limits.commands_before_login_max,
        )
        self._session = Session(client=self, site=site, channel=channel)

    async def serve(self) -> None:
        """Talk until either side has enough; closes the writer.

        However it ends, nothing is removed unless the client said QUIT.
        """
        try:
            self.send(ok("ePOST"))
            while not self._session.is_over:
                await self._serve_line(await self._next_line())
            await self.breathe()
        except (ClientGone, ConnectionError):
            pass
        except asyncio.CancelledError:
            self._conversation.say_last(err("The server is shutting down", "SYS/TEMP"))
            raise
        finally:
            self._session.leave()
            self._conversation.close()

    async def _serve_line(self, line: bytes) -> None:
        if self._is_first_line and looks_like_foreign_protocol(line):
            self._end("This is a POP3 server")
            return
        self._is_first_line = False
        is_bad = not await perform(self._session, line)
        is_logged_in = self._session.maildrop is not None
        if reason := self._forbearance.judge(is_bad=is_bad, is_logged_in=is_logged_in):
            self._end(reason)
        if self._session.starts_tls:
            await self._upgrade()

    def _end(self, text: str) -> None:
        self.send(err(text))
        self._session.is_over = True

    async def _upgrade(self) -> None:
        self._session.starts_tls = False
        self._input.clear()  # plaintext sent ahead of TLS is not heard (RFC 2595 4)
        self._session.channel = await self._conversation.upgrade()

    # What the session asks of its client (session.Client)

    @property
    def can_start_tls(self) -> bool:
        """Whether STLS is offered, which it is no more once it was used."""
        return self._conversation.can_start_tls

    def send(self, data: bytes) -> None:
        """Queue a piece of an answer."""
        self._conversation.send(data)

    async def breathe(self) -> None:
        """Send what is queued, wait while the client is slow, and let others work."""
        await self._conversation.breathe()

    async def read_line(self) -> bytes:
        """The client's answer to a challenge, without its line end."""
        line = await self._next_line()
        return line.removesuffix(b"\n").removesuffix(b"\r")

    # Input

    async def _next_line(self) -> bytes:
        """The next line with its end; answers that wait are sent when nothing more is here."""
        scanned = 0
        async with self._patience():
            while (end := self._input.find(b"\n", scanned)) < 0:
                scanned = len(self._input)
                if scanned > self._limits.line_bytes_max:
                    self._end("A line is too long")
                    await self.breathe()
                    raise ClientGone
                await self._read_more()
        if self._conversation.is_full:  # of a client that sends many at once
            await self.breathe()
        line = bytes(self._input[: end + 1])
        del self._input[: end + 1]
        return line

    async def _read_more(self) -> None:
        await self.breathe()
        data = await self._conversation.read(READ_BYTES)
        if not data:
            raise ClientGone
        self._input += data
        if self._is_first_line and looks_like_foreign_protocol(bytes(self._input).split(b"\n")[0]):
            self._end("This is a POP3 server")
            await self.breathe()
            raise ClientGone

    def _patience(self) -> AbstractAsyncContextManager[None]:
        """Bound how long the client may take for a line."""
        is_logged_in, limits = self._session.maildrop is not None, self._limits
        seconds = limits.idle_timeout_seconds if is_logged_in else limits.login_timeout_seconds
        return self._conversation.patience(seconds, err("You were silent for too long", "SYS/TEMP"))
