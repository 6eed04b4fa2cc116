"""The authority's enrolment listener: bounded conversations, few wrong tokens."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from epost.crypto.x509 import make_listener
from epost.daemon.enrolment.channel import SIZE_MAX, Channel, EnrolmentLimits, What, open_channel
from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.contexts import load_key
from epost.daemon.tls.gate import Gate, source_and_network
from epost.daemon.tls.listening import listen
from epost.foundation.codec import encode
from epost.foundation.errors import EpostError, NotPermitted, Overloaded
from epost.foundation.ids import Address
from epost.foundation.ports import Clock, Observer
from epost.foundation.wire import REFUSAL_TEXT_MAX, Refusal
from epost.node.refusals import refusal_code

SOURCES_REMEMBERED_MAX: Final = 4096
ACCEPT_PAUSE_SECONDS: Final = 0.5

Handle = Callable[[bytes, str], Awaitable[bytes]]
"""Takes a request and the host it came from, returns the answer; one at a time.

An EpostError is a refusal, and NotPermitted counts as a wrong token.
"""


@dataclass(frozen=True, slots=True)
class EnrolmentRefused:
    """Told to the observer: a conversation that ended without an answer."""

    source: str
    text: str


class WrongTokens:
    """Counts wrong tokens per source; bounded."""

    def __init__(self, limits: EnrolmentLimits) -> None:
        self._limits = limits
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def may_try(self, host: str, now: float) -> bool:
        """Had this source few enough wrong tokens of late?"""
        since = now - self._limits.wrong_tokens_seconds
        times = self._wrong.get(source_and_network(host)[0], [])
        return sum(at > since for at in times) < self._limits.wrong_tokens_max

    def note(self, host: str, now: float) -> None:
        """Remember a wrong token."""
        source, _ = source_and_network(host)
        times = self._wrong.pop(source, [])
        self._wrong[source] = [*times, now][-self._limits.wrong_tokens_max :]
        if len(self._wrong) > SOURCES_REMEMBERED_MAX:
            self._wrong.popitem(last=False)


class EnrolmentServer:
    """A running listener; made by `serve_enrolment`."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        greeting: bytes,
        handle: Handle,
        *,
        observer: Observer,
        limits: EnrolmentLimits,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._context = context
        self._greeting = greeting
        self._handle = handle
        self._observer = observer
        self._limits = limits
        self._gate = Gate(
            TransportConfig(
                handshakes_max=limits.conversations_max,
                handshakes_per_source_max=limits.conversations_per_source_max,
                handshakes_for_known=0,
            ),
            self._loop.time(),
        )
        self._wrong_tokens = WrongTokens(limits)
        self._one_at_a_time = asyncio.Lock()
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._accepting = self._loop.create_task(self._accept())

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self._listener.getsockname()[1])

    def greet_with(self, greeting: bytes) -> None:
        """Say this first, from now on."""
        self._greeting = greeting

    async def close(self) -> None:
        """Listen no more; conversations under way are cut off, and may be repeated."""
        tasks = [self._accepting, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            try:
                connection, source = await self._loop.sock_accept(self._listener)
            except OSError as error:
                self._observer.record(EnrolmentRefused("", f"no more connections: {error}"))
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            host = source[0]
            if not self._gate.enter(host, self._loop.time()):
                connection.close()
                self._observer.record(EnrolmentRefused(host, "too many connections"))
                continue
            task = self._loop.create_task(self._converse(connection, host))
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)

    async def _converse(self, connection: socket.socket, host: str) -> None:
        handshake = partial(
            self._loop.connect_accepted_socket,
            sock=connection,
            ssl=self._context,
            ssl_handshake_timeout=self._limits.connect_seconds,
            ssl_shutdown_timeout=self._limits.close_seconds,
        )
        try:
            async with open_channel(handshake, SIZE_MAX) as channel:
                await self._serve(channel, host)
        except (OSError, EOFError, EpostError) as error:  # OSError: TimeoutError and SSLError too
            self._observer.record(EnrolmentRefused(host, str(error) or "no request in time"))
        finally:
            self._gate.leave(host)

    async def _serve(self, channel: Channel[What], host: str) -> None:
        async with asyncio.timeout(self._limits.request_seconds):
            await channel.send(What.GREETING, self._greeting)
            _, request = await channel.receive(What.REQUEST)
        async with asyncio.timeout(self._limits.answer_seconds):
            try:
                answer = await self._answer(request, host)
            except EpostError as error:
                refusal = Refusal(int(refusal_code(error)), str(error)[:REFUSAL_TEXT_MAX])
                await channel.send(What.REFUSAL, encode(refusal))
                raise
            await channel.send(What.ANSWER, answer)

    async def _answer(self, request: bytes, host: str) -> bytes:
        async with self._one_at_a_time:  # so that no source tries many tokens at once
            if not self._wrong_tokens.may_try(host, self._loop.time()):
                raise Overloaded("too many wrong invitations from your address: wait an hour")
            try:
                return await self._handle(request, host)
            except NotPermitted:
                self._wrong_tokens.note(host, self._loop.time())
                raise


def listener_context(key_seed: bytes, clock: Clock) -> ssl.SSLContext:
    """Return the TLS context of a listener that is known by this key alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    load_key(context, make_listener(key_seed, not_before_ms=clock.wall_ms()), key_seed)
    return context


async def serve_enrolment(
    address: Address,
    *,
    key_seed: bytes,
    greeting: bytes,
    handle: Handle,
    clock: Clock,
    observer: Observer,
    limits: EnrolmentLimits | None = None,
) -> EnrolmentServer:
    """Listen for new members until the server is closed.

    `key_seed` is of the key whose SPKI hash the IssuerCert names. Raises ConfigError if the
    address cannot be had.
    """
    context = listener_context(key_seed, clock)
    listener = listen(address, purpose="enrolment")
    return EnrolmentServer(
        listener,
        context,
        greeting,
        handle,
        observer=observer,
        limits=limits or EnrolmentLimits(),
    )
