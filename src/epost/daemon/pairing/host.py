"""The old machine's side: it listens for one new machine, and lets in who holds the code."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from epost.crypto.signing import is_valid_public_key
from epost.crypto.x509 import make_listener, spki_sha256
from epost.daemon.authority.world import World
from epost.daemon.enrolment.channel import Channel, open_channel
from epost.daemon.enrolment.listener import listener_context
from epost.daemon.pairing.code import DeviceCode
from epost.daemon.pairing.messages import (
    NUMBER_BYTES,
    OFFER,
    OPENING,
    SIZES,
    Grant,
    Offer,
    Step,
    commitment_to,
    digits_of,
)
from epost.daemon.tls.listening import listen
from epost.foundation.codec import encode
from epost.foundation.errors import AuthenticityError, EpostError, PeerError, RefusedError
from epost.foundation.ids import Address
from epost.foundation.wire import REFUSAL_TEXT_MAX, Refusal
from epost.node.refusals import refusal_code

Compare = Callable[[str], Awaitable[bool]]
"""Asks the user whether the other machine shows these digits too."""


@dataclass(frozen=True, slots=True)
class PairingLimits:
    """How long the code is good, and how often somebody may be wrong."""

    open_seconds: float = 600.0
    tries_max: int = 3
    connect_seconds: float = 5.0
    step_seconds: float = 10.0
    compare_seconds: float = 120.0
    settle_seconds: float = 180.0
    """For the new machine, which enrols meanwhile."""
    close_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What is done for a new machine that proved itself.

    `admit` makes the grant, `publish` brings what it says into the ring once the machine has it on
    its disk; both raise RefusedError and the like, which ends the whole.
    """

    compare: Compare
    admit: Callable[[Offer], Awaitable[Grant]]
    publish: Callable[[Grant], Awaitable[None]]
    say: Callable[[str], object]


class PairingHost:
    """`async with` it: it listens from the start to the end of that."""

    def __init__(
        self,
        listening: Address,
        advertised: Callable[[int], Address],
        world: World,
        limits: PairingLimits | None = None,
    ) -> None:
        """`advertised` gives the address in the code, from the port that was got.

        Raises ConfigError if the address cannot be had.
        """
        self._world = world
        self._limits = limits or PairingLimits()
        self._tries = 0
        seed = world.entropy.token(32)
        self._context = listener_context(seed, world.clock)
        certificate = make_listener(seed, not_before_ms=world.clock.wall_ms())
        self._key_hash = spki_sha256(certificate)
        self._listener = listen(listening, purpose="device add")
        port = int(self._listener.getsockname()[1])
        self.code = DeviceCode(
            address=advertised(port),
            listener=self._key_hash[:16],
            token=world.entropy.token(16),
            expires_at=world.clock.wall_ms() + round(self._limits.open_seconds * 1000),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()

    async def serve(self, desk: Desk) -> None:
        """Return when one machine was admitted and the ring knows it.

        Raises RefusedError when the time is over or too many were wrong, and what `desk` raises.
        """
        deadline = asyncio.get_running_loop().time() + self._limits.open_seconds
        while True:
            connection = await self._next(deadline)
            with contextlib.closing(connection):
                if await self._is_done_with(connection, desk):
                    return
            if self._tries >= self._limits.tries_max:
                raise RefusedError(
                    f"{self._tries} tries failed, so this code is good no more. If you did not "
                    "make them, somebody else is on the way between your machines"
                )

    async def _next(self, deadline: float) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                connection, _ = await loop.sock_accept(self._listener)
        except TimeoutError as error:
            raise RefusedError("no machine came in time: say epost device add again") from error
        return connection

    async def _is_done_with(self, connection: socket.socket, desk: Desk) -> bool:
        handshake = partial(
            asyncio.get_running_loop().connect_accepted_socket,
            sock=connection,
            ssl=self._context,
            ssl_handshake_timeout=self._limits.connect_seconds,
            ssl_shutdown_timeout=self._limits.close_seconds,
        )
        try:
            async with open_channel(handshake, SIZES) as channel:
                await _Conversation(self, channel, desk).run()
        except (WrongCode, PeerError, AuthenticityError) as error:
            desk.say(f"A machine was turned away: {error}.")
        except (OSError, EOFError, ssl.SSLError) as error:  # TimeoutError too
            desk.say(f"A machine came and went: {error or 'it said nothing in time'}.")
        else:
            return True
        return False


class WrongCode(RefusedError):  # noqa: N818 - the domain's words read better without "Error"
    """Whoever came does not hold the code, or is not who the user has before her."""


class _Conversation:
    """One machine that came, from its opening to the end."""

    def __init__(self, host: PairingHost, channel: Channel[Step], desk: Desk) -> None:
        self._host = host
        self._channel = channel
        self._desk = desk
        self._limits = host._limits

    async def run(self) -> None:
        try:
            offer = await self._identified()
            grant = await self._desk.admit(offer)
            await self._channel.send(Step.GRANT, encode(grant))
            await self._receive(Step.READY, self._limits.settle_seconds)
            await self._desk.publish(grant)
            await self._channel.send(Step.DONE, b"")
        except EpostError as error:
            refusal = Refusal(int(refusal_code(error)), str(error)[:REFUSAL_TEXT_MAX])
            with contextlib.suppress(OSError):
                await self._channel.send(Step.REFUSAL, encode(refusal))
            raise

    async def _identified(self) -> Offer:
        """Return the keys of the machine that the user means.

        A try counts from the moment when our number leaves: who knows it, knows the digits, and
        must not hang up unseen to draw others.
        """
        opening = OPENING.decode(await self._receive(Step.OPENING, self._limits.step_seconds))
        self._host._tries += 1
        if opening.token and not hmac.compare_digest(opening.token, self._host.code.token):
            raise WrongCode("it has another code")
        number = self._host._world.entropy.token(NUMBER_BYTES)
        await self._channel.send(Step.NUMBER, number)
        data = await self._receive(Step.OFFER, self._limits.step_seconds)
        if not hmac.compare_digest(commitment_to(data), opening.commitment):
            raise WrongCode("it offers other keys than it was bound to")
        offer = OFFER.decode(data)
        keys = (offer.node_key, offer.device_key, offer.root_log_key)
        if not all(is_valid_public_key(key) for key in keys):
            raise WrongCode("its keys are no valid points")
        if not opening.token:
            digits = digits_of(self._host._key_hash, number, data)
            async with asyncio.timeout(self._limits.compare_seconds):
                if not await self._desk.compare(digits):
                    raise WrongCode("it shows other digits")
        return offer

    async def _receive(self, step: Step, seconds: float) -> bytes:
        async with asyncio.timeout(seconds):
            what, payload = await self._channel.receive(step, Step.REFUSAL)
        if what is Step.REFUSAL:
            raise WrongCode("it gave up")
        return payload
