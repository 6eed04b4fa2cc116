"""The new member's side of an enrolment: checks first, then the token."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from epost.crypto.certificates import OrganisationTrust
from epost.crypto.x509 import spki_sha256
from epost.daemon.enrolment.channel import SIZE_MAX, EnrolmentLimits, Factory, What, open_channel
from epost.foundation.codec import Format
from epost.foundation.errors import (
    AuthenticityError,
    EpostError,
    Overloaded,
    PeerError,
    PeerRefused,
    UnavailableError,
    Unreachable,
)
from epost.foundation.ids import Address
from epost.foundation.wire import REFUSAL_TEXT_MAX, Refusal, RefusalCode
from epost.rings.enrolment import check_greeting
from epost.rings.invite import Invite

SERVER_NAME: Final = "epost.invalid"
"""Sent in clear by TLS, so it says nothing."""

BuildRequest = Callable[[OrganisationTrust], bytes]
"""Returns the signed request for this organisation, the same bytes whenever asked again."""

_REFUSAL: Format[Refusal] = Format(Refusal, size_max=SIZE_MAX[What.REFUSAL])


async def request_enrolment(
    invite: Invite, build_request: BuildRequest, limits: EnrolmentLimits | None = None
) -> tuple[OrganisationTrust, bytes]:
    """Return the organisation that the invite names, checked, and its answer, yet to be checked.

    The token leaves only towards the key that the organisation certified for its listener. Raises
    PeerRefused, AuthenticityError (somebody else listens at every address that answers),
    UnavailableError; after the latter the same request may be repeated.
    """
    limits = limits or EnrolmentLimits()
    worst: EpostError = Unreachable("the invitation has no address")
    for address in invite.addresses:
        try:
            return await _request_at(address, invite, build_request, limits)
        except (AuthenticityError, PeerError) as error:
            worst = error
        except (OSError, EOFError, UnavailableError) as error:
            if isinstance(worst, UnavailableError):
                worst = Unreachable(
                    f"the authority does not answer at {address.host} port {address.port}: "
                    f"{_reason(error)}. Does its daemon run?"
                )
                worst.__cause__ = error
    raise worst


async def _request_at(
    address: Address, invite: Invite, build_request: BuildRequest, limits: EnrolmentLimits
) -> tuple[OrganisationTrust, bytes]:
    async with open_channel(partial(connect, address, limits), SIZE_MAX) as channel:
        async with asyncio.timeout(limits.greeting_seconds):
            _, greeting = await channel.receive(What.GREETING)
        trust = check_greeting(greeting, invite, spki_sha256(channel.peer_certificate))
        async with asyncio.timeout(limits.answer_seconds):
            await channel.send(What.REQUEST, build_request(trust))
            what, payload = await channel.receive(What.ANSWER, What.REFUSAL)
    if what is What.REFUSAL:
        raise _refusal(payload)
    return trust, payload


async def connect(
    address: Address, limits: EnrolmentLimits, factory: Factory
) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
    """Connect to a listener that is known by its key alone: the caller compares that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the key is compared with what the issuer certified
    async with asyncio.timeout(limits.connect_seconds):
        return await asyncio.get_running_loop().create_connection(
            factory,
            address.host,
            address.port,
            ssl=context,
            server_hostname=SERVER_NAME,
            ssl_handshake_timeout=limits.connect_seconds,
            ssl_shutdown_timeout=limits.close_seconds,
        )


def _reason(error: OSError | EOFError | UnavailableError) -> str:
    if isinstance(error, EOFError):
        return "it hung up"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(
            error.errno
        ).lower()  # what asyncio says in its place repeats the address
    return str(error) or "no answer in time"


def _refusal(payload: bytes) -> EpostError:
    refusal = _REFUSAL.decode(payload)
    if refusal.code == RefusalCode.LATER:
        return Overloaded(refusal.text[:REFUSAL_TEXT_MAX])
    return PeerRefused(refusal.code, refusal.text[:REFUSAL_TEXT_MAX])
