"""One client's connection: reads frames, performs them, writes what comes of it.

The daemon's listener makes one for every accepted client and awaits `serve`. Sockets and TLS stay
with the listener: it hands over a reader and a writer, and a way to upgrade them.
"""

import asyncio
from contextlib import AbstractAsyncContextManager

from epost.foundation.errors import DiskFull
from epost.foundation.spool import SpoolWriter
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
from epost.servers.imap.commands.notifying import tell_news
from epost.servers.imap.compression import DeflatingWriter, InflatingReader
from epost.servers.imap.dispatch import perform
from epost.servers.imap.limits import READ_BYTES
from epost.servers.imap.replies import Condition, bad, no
from epost.servers.imap.session import Session
from epost.servers.imap.site import ImapSite
from epost.servers.imap.syntax.formats import resp_text
from epost.servers.imap.syntax.framing import (
    Frame,
    Framer,
    Hopeless,
    LiteralAwaited,
    LongLiteral,
    Refused,
)


class ImapConnection:
    """Serves one client from the greeting to the end."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        *,
        site: ImapSite,
        channel: Channel,
        start_tls: StartTls | None = None,
    ) -> None:
        """`start_tls` upgrades the connection; None when STARTTLS is not offered."""
        self._limits = site.limits
        self._conversation = Conversation(
            reader,
            writer,
            start_tls=start_tls,
            stalled_timeout_seconds=site.limits.stalled_timeout_seconds,
        )
        self._framer = Framer(site.limits)
        self._spool = site.spool
        self._is_first_line = True
        self.can_compress = True
        self._forbearance = Forbearance(
            bad_commands_max=site.limits.bad_commands_max,
            commands_before_login_max=site.limits.commands_before_login_max,
        )
        self._session = Session(client=self, site=site, channel=channel)

    async def serve(self) -> None:
        """Talk until either side has enough; closes the writer.

        When cancelled (the daemon stops) the client is told BYE.
        """
        try:
            self.send(b"* OK [CAPABILITY %b] ePOST\r\n" % b" ".join(self._session.capabilities()))
            await self._converse()
        except (ClientGone, ConnectionError):
            pass
        except asyncio.CancelledError:
            self._say_bye("The server is shutting down")
            raise
        except Exception:
            self._say_bye("The server has a problem")
            raise
        finally:
            self._session.select(None)
            self._session.watch_with(None)
            self._conversation.close()

    async def _converse(self) -> None:
        while self._session.farewell is None:
            event = await self._next_event()
            match event:
                case Frame():
                    self._count(await perform(self._session, event))
                case Refused(tag, text, code):
                    reply = no(text, code) if code else bad(text)
                    self.send(reply.line(tag))
                    self._count(Condition.BAD)
                case Hopeless(text):
                    self._session.end(text)
            if self._session.starts_tls:
                await self._upgrade()
            if self._session.starts_compression:
                await self._compress()
        if self._session.farewell:
            self._say_bye(self._session.farewell)
        await self.breathe()

    def _count(self, condition: Condition) -> None:
        self._framer.is_logged_in = is_logged_in = self._session.mail is not None
        is_bad = condition is Condition.BAD
        if reason := self._forbearance.judge(is_bad=is_bad, is_logged_in=is_logged_in):
            self._session.end(reason)

    async def _upgrade(self) -> None:
        self._session.starts_tls = False
        self._framer.discard()
        self._session.channel = await self._conversation.upgrade()

    async def _compress(self) -> None:
        self._session.starts_compression = False
        await self.breathe()
        self._framer.discard()  # what came before the OK was not compressed: it should not be there
        self._conversation.wrap(InflatingReader, DeflatingWriter)
        self.can_compress = False

    # What the session asks of its client (session.Client)

    @property
    def can_start_tls(self) -> bool:
        """Whether STARTTLS is offered, which it is no more once it was used."""
        return self._conversation.can_start_tls

    def send(self, data: bytes) -> None:
        """Queue a piece of a response."""
        self._conversation.send(data)

    async def breathe(self) -> None:
        """Send what is queued, wait while the client is slow, and let others work."""
        await self._conversation.breathe()

    async def read_line(self) -> bytes:
        """The client's answer to a continuation request, without its line end."""
        await self.breathe()
        async with self._patience():
            while (line := self._framer.next_line()) is None:
                await self._read_more()
        if isinstance(line, Hopeless):
            self._session.end(line.text)
            return b""
        return line.removesuffix(b"\n").removesuffix(b"\r")

    # Input

    async def _next_event(self) -> Frame | Refused | Hopeless:
        """The next thing to answer; asks for literals on the way."""
        await self.breathe()
        async with self._patience():
            while True:
                event = self._framer.next_event()
                if event is None:
                    await self._read_more()
                    if self._session.farewell is not None:
                        return Hopeless(self._session.farewell)
                    if self._is_first_line and self._is_foreign():
                        return Hopeless("This is an IMAP server")
                elif isinstance(event, LiteralAwaited):
                    await self._ask_for_literal()
                elif isinstance(event, LongLiteral):
                    if event.is_awaited:
                        await self._ask_for_literal()
                    await self._take_literal(event.size)
                else:
                    self._is_first_line = False
                    return event

    async def _ask_for_literal(self) -> None:
        self.send(b"+ Go ahead\r\n")
        await self.breathe()

    async def _take_literal(self, size: int) -> None:
        """Bring a mail to the spool as it comes. If there is no room, it is refused at its end."""
        writer: SpoolWriter | None = self._spool.begin()
        while size:
            piece = self._framer.take(size)
            if not piece:
                await self._read_more()
                if self._session.farewell is not None:
                    raise ClientGone
            size -= len(piece)
            if writer is not None:
                writer = await self._spooled(writer, piece, is_last=size == 0)

    async def _spooled(
        self, writer: SpoolWriter, piece: bytes, *, is_last: bool
    ) -> SpoolWriter | None:
        try:
            writer.write(piece)
            await writer.drain()
            if is_last:
                self._framer.put_literal(await writer.finish())
        except DiskFull as error:
            self._framer.refuse(f"This mail cannot be taken now: {error}", b"UNAVAILABLE")
            return None
        return writer

    def _is_foreign(self) -> bool:
        """Whether a browser or another protocol's client has come here by mistake or malice."""
        return looks_like_foreign_protocol(self._framer.start_of_line())

    async def _read_more(self) -> None:
        is_watching = self._session.watch is not None
        data = await (self._read_and_tell() if is_watching else self._conversation.read(READ_BYTES))
        if not data and self._session.farewell is None:
            raise ClientGone
        self._framer.receive(data)

    async def _read_and_tell(self) -> bytes:
        """Tell what happens until the client says something (RFC 5465); nothing at the end."""
        session, wake = self._session, asyncio.Event()
        reading = asyncio.ensure_future(self._conversation.read(READ_BYTES))
        reading.add_done_callback(lambda _: wake.set())
        session.when_news(wake.set)
        try:
            while not reading.done() and session.watch is not None:
                await tell_news(session, may_expunge=session.watch.selected.removals_at_once)
                await self.breathe()
                if session.farewell is not None:
                    return b""
                await wake.wait()
                wake.clear()
            return await reading
        finally:
            reading.cancel()
            session.when_news(None)

    def _patience(self) -> AbstractAsyncContextManager[None]:
        """Bound how long the client may take for a whole command or answer."""
        is_logged_in, limits = self._session.mail is not None, self._limits
        seconds = limits.idle_timeout_seconds if is_logged_in else limits.login_timeout_seconds
        return self._conversation.patience(seconds, _bye("You were silent for too long"))

    def _say_bye(self, text: str) -> None:
        self._conversation.say_last(_bye(text))


def _bye(text: str) -> bytes:
    return b"* BYE " + resp_text(text) + b"\r\n"
