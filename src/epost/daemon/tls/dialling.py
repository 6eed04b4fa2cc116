"""Opening links: all addresses of a node in a staggered race, the first that shows it wins."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.session import Session
from epost.daemon.tls.tls_link import Links, TlsLink
from epost.foundation.calls import first_successes
from epost.foundation.errors import EpostError, Overloaded, Unreachable
from epost.foundation.ids import Address, NodeHandle, NodeId
from epost.foundation.ports import Entropy

SERVER_NAME: Final = "epost.invalid"
"""Sent in clear by TLS, so it says nothing."""
NODES_REMEMBERED_MAX: Final = 2000

_BUSY: Final = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})

Introduce = Callable[[TlsLink, NodeId], Session]


class Backoff:
    """When a node that could not be reached may be dialled again; bounded."""

    def __init__(self, config: TransportConfig) -> None:
        self._config = config
        self._failures: OrderedDict[NodeId, tuple[int, float]] = OrderedDict()

    def pause(self, node: NodeId, now: float) -> float:
        """Return for how many seconds the node should be left alone."""
        return max(0.0, self._failures.get(node, (0, now))[1] - now)

    def failed(self, node: NodeId, now: float) -> None:
        """Remember a failure; each in a row doubles the pause."""
        count, _ = self._failures.pop(node, (0, 0.0))
        pause = self._config.backoff_seconds_min * 2.0 ** min(count, 16)
        until = now + min(pause, self._config.backoff_seconds_max)
        self._failures[node] = (count + 1, until)
        if len(self._failures) > NODES_REMEMBERED_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, node: NodeId) -> None:
        """Forget the failures."""
        self._failures.pop(node, None)


class Dialler:
    """Reaches nodes by their addresses, a bounded number at a time."""

    def __init__(
        self,
        context: ssl.SSLContext,
        links: Links,
        entropy: Entropy,
        config: TransportConfig,
        begin: Introduce,
    ) -> None:
        """`begin` starts the session of a link to the node that is wanted."""
        self._context = context
        self._links = links
        self._entropy = entropy
        self._config = config
        self._begin = begin
        self._places = asyncio.Semaphore(config.dials_max)

    async def reach(self, node: NodeHandle) -> None:
        """Return when a session with the node is up; raises Unreachable with all reasons."""
        async with self._places:
            for round_ in range(self._config.dial_rounds):
                try:
                    await self._try_all(node)
                except Overloaded as error:
                    if round_ == self._config.dial_rounds - 1:
                        raise Unreachable(str(error)) from error
                    await asyncio.sleep(self._pause(round_))
                else:
                    return

    def _pause(self, round_: int) -> float:
        """Return a random pause, longer each round: whoever was turned away comes back spread."""
        share = int.from_bytes(self._entropy.token(2), "big") / 0xFFFF
        return self._config.dial_round_pause_seconds * 2.0**round_ * (0.5 + share)

    async def _try_all(self, node: NodeHandle) -> None:
        """Raises Unreachable, or Overloaded if an address was there but too busy."""
        addresses = list(node.addresses)
        reasons: list[str] = []
        is_busy = False
        while addresses:
            race = _Race(addresses, self._context, self._links, self._config)
            link = await race.run()
            reasons += race.reasons
            is_busy = is_busy or race.is_busy
            if link is None:
                break
            session = self._begin(link, node.id)
            try:
                async with asyncio.timeout(self._config.hello_seconds):
                    await session.ready
            except (TimeoutError, EpostError) as error:
                session.abort()
                address = race.address_of(link)
                reasons.append(f"{address.host}:{address.port}: {error or 'no HELLO in time'}")
                addresses.remove(address)
            except asyncio.CancelledError:
                session.abort()
                raise
            else:
                return
        text = "; ".join(reasons) or "no addresses known"
        raise Overloaded(text) if is_busy else Unreachable(text)


class _Race:
    """One attempt per address; each starts when the one before failed or takes its time."""

    def __init__(
        self,
        addresses: Sequence[Address],
        context: ssl.SSLContext,
        links: Links,
        config: TransportConfig,
    ) -> None:
        self._context = context
        self._config = config
        self._runners = [(address, TlsLink(links)) for address in addresses]
        self._has_failed = [asyncio.Event() for _ in addresses]
        self.reasons: list[str] = []
        self.is_busy = False

    def address_of(self, link: TlsLink) -> Address:
        """Return the address that a link goes to."""
        return next(address for address, runner in self._runners if runner is link)

    async def run(self) -> TlsLink | None:
        """Return the first link whose handshake is done, or None if there is none."""
        winner: TlsLink | None = None
        attempts = [self._attempt(place) for place in range(len(self._runners))]
        seconds = self._config.dial_address_seconds + self._config.handshake_seconds
        seconds += self._config.dial_stagger_seconds * len(attempts)
        try:
            successes = await first_successes(attempts, 1, timeout_seconds=seconds)
            if successes:
                winner = successes[0][1]
        finally:
            for _, link in self._runners:
                if link is not winner:
                    link.abort()
        return winner

    async def _attempt(self, place: int) -> TlsLink:
        address, link = self._runners[place]
        if place > 0:
            await passed(self._has_failed[place - 1], self._config.dial_stagger_seconds)
        try:
            async with asyncio.timeout(self._config.dial_address_seconds):
                await self._connect(address, link)
        except (OSError, UnicodeError) as error:  # OSError: also TimeoutError and ssl.SSLError
            self.is_busy = self.is_busy or _is_busy(error)
            text = f"{address.host}:{address.port}: {error or 'no answer in time'}"
            self.reasons.append(text)
            self._has_failed[place].set()
            raise Unreachable(text) from error
        return link

    async def _connect(self, address: Address, link: TlsLink) -> None:
        await asyncio.get_running_loop().create_connection(
            lambda: link,
            address.host,
            address.port,
            ssl=self._context,
            server_hostname=SERVER_NAME,
            ssl_handshake_timeout=self._config.handshake_seconds,
            ssl_shutdown_timeout=self._config.linger_seconds,
        )


def _is_busy(error: OSError | UnicodeError) -> bool:
    """Did somebody accept the connection, only to close it before the handshake (a full gate)?"""
    if isinstance(error, ssl.SSLEOFError):
        return True
    return isinstance(error, ConnectionError) and (error.errno is None or error.errno in _BUSY)


async def passed(event: asyncio.Event, seconds: float) -> None:
    """Return when an event has happened, or so many seconds have passed."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
