"""One client's connection: reads frames, performs them, writes what comes of it.

The daemon's listener makes one for every accepted client and awaits `serve`. Sockets and TLS stay
with the listener: it hands over a reader and a writer, and a way to upgrade them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

from epost.servers.access import Channel, Reader, Secured, Writer, looks_like_foreign_protocol
from epost.servers.imap.commands.notifying import tell_news
from epost.servers.imap.compression import DeflatingWriter, InflatingReader
from epost.servers.imap.dispatch import perform
from epost.servers.imap.limits import OUTPUT_BYTES_PER_SLICE, READ_BYTES
from epost.servers.imap.replies import Condition, bad, no
from epost.servers.imap.session import Session
from epost.servers.imap.site import ImapSite
from epost.servers.imap.syntax.formats import resp_text
from epost.servers.imap.syntax.framing import Frame, Framer, Hopeless, LiteralAwaited, Refused


class ClientGone(Exception):  # noqa: N818 - an event of the protocol, not an error of ours
    """The client hung up, or was silent or unwilling to read for too long."""


class ImapConnection:
    """Serves one client from the greeting to the end."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        *,
        site: ImapSite,
        channel: Channel,
        start_tls: Callable[[], Awaitable[Secured]] | None = None,
    ) -> None:
        """`start_tls` upgrades the connection; None when STARTTLS is not offered."""
        self._reader = reader
        self._writer = writer
        self._limits = site.limits
        self._start_tls = start_tls
        self._framer = Framer(site.limits)
        self._output: list[bytes] = []
        self._is_first_line = True
        self.can_compress = True
        self._bad_in_a_row = 0
        self._commands_before_login = 0
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
            self._writer.close()

    async def _converse(self) -> None:
        while self._session.farewell is None:
            event = await self._next_event()
            match event:
                case Frame():
                    self._count(await perform(self._session, event))
                case Refused(tag, text, is_too_big):
                    reply = no(text, b"TOOBIG") if is_too_big else bad(text)
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
        """Give up on clients that talk nonsense, or talk without logging in."""
        self._framer.is_logged_in = self._session.mail is not None
        if condition is not Condition.BAD:
            self._bad_in_a_row = 0
        else:
            self._bad_in_a_row += 1
            if self._bad_in_a_row >= self._limits.bad_commands_max:
                self._session.end("Too many bad commands")
        if self._session.mail is None:
            self._commands_before_login += 1
            if self._commands_before_login >= self._limits.commands_before_login_max:
                self._session.end("Please log in sooner")

    async def _upgrade(self) -> None:
        assert self._start_tls is not None
        start_tls, self._start_tls = self._start_tls, None
        self._session.starts_tls = False
        await self.breathe()
        self._framer.discard()
        secured = await start_tls()
        self._reader, self._writer = secured.reader, secured.writer
        self._session.channel = secured.channel

    async def _compress(self) -> None:
        self._session.starts_compression = False
        await self.breathe()
        self._framer.discard()  # what came before the OK was not compressed: it should not be there
        self._reader, self._writer = InflatingReader(self._reader), DeflatingWriter(self._writer)
        self.can_compress = False

    # What the session asks of its client (session.Client)

    @property
    def can_start_tls(self) -> bool:
        """Whether STARTTLS is offered, which it is no more once it was used."""
        return self._start_tls is not None

    def send(self, data: bytes) -> None:
        """Queue a piece of a response."""
        self._output.append(data)

    async def breathe(self) -> None:
        """Send what is queued, wait while the client is slow, and let others work."""
        if self._output:
            output, self._output = self._output, []
            try:
                async with asyncio.timeout(self._limits.stalled_timeout_seconds):
                    for piece in _in_slices(output):
                        self._writer.write(piece)
                        await self._writer.drain()
            except TimeoutError as error:
                raise ClientGone from error
        await asyncio.sleep(0)

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
                    self.send(b"+ Go ahead\r\n")
                    await self.breathe()
                else:
                    self._is_first_line = False
                    return event

    def _is_foreign(self) -> bool:
        """Whether a browser or another protocol's client has come here by mistake or malice."""
        return looks_like_foreign_protocol(self._framer.start_of_line())

    async def _read_more(self) -> None:
        is_watching = self._session.watch is not None
        data = await (self._read_and_tell() if is_watching else self._reader.read(READ_BYTES))
        if not data and self._session.farewell is None:
            raise ClientGone
        self._framer.receive(data)

    async def _read_and_tell(self) -> bytes:
        """Tell what happens until the client says something (RFC 5465); nothing at the end."""
        session, wake = self._session, asyncio.Event()
        reading = asyncio.ensure_future(self._reader.read(READ_BYTES))
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

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """Bound how long the client may take for a whole command or answer."""
        is_logged_in, limits = self._session.mail is not None, self._limits
        seconds = limits.idle_timeout_seconds if is_logged_in else limits.login_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            self._say_bye("You were silent for too long")
            raise ClientGone from error

    def _say_bye(self, text: str) -> None:
        """A last word, which the client may never read."""
        self._writer.write(b"".join(self._output) + b"* BYE " + resp_text(text) + b"\r\n")
        self._output.clear()


def _in_slices(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """Small pieces joined and big ones cut, so that no write takes long."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        if gathered and size + len(piece) > OUTPUT_BYTES_PER_SLICE:
            yield b"".join(gathered)
            gathered, size = [], 0
        if len(piece) > OUTPUT_BYTES_PER_SLICE:
            for start in range(0, len(piece), OUTPUT_BYTES_PER_SLICE):
                yield piece[start : start + OUTPUT_BYTES_PER_SLICE]
        else:
            gathered.append(piece)
            size += len(piece)
    if gathered:
        yield b"".join(gathered)
