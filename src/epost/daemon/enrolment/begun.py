"""An enrolment that survives a crash: the request is on disk before it leaves (crypto 3.8).

The authority gives one answer to one request, so what was asked must be asked again, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from epost.crypto.certificates import OrganisationTrust
from epost.daemon.enrolment.client import request_enrolment
from epost.daemon.files import write_private
from epost.daemon.folder import PENDING_PREFIX, NodeFolder
from epost.foundation.codec import Format, encode
from epost.foundation.errors import PeerRefused, RefusedError
from epost.foundation.ports import Clock
from epost.rings.enrolment import Enrolled, check_answer, open_request
from epost.rings.invite import Invite, token_hash


class Begun(Protocol):
    """What is kept of an enrolment until it is finished: the request, and its secrets."""

    @property
    def request(self) -> bytes:
        """The signed request, as it travels."""
        ...


B = TypeVar("B", bound=Begun)


async def enrol(
    folder: NodeFolder,
    invite: Invite,
    kept: Format[B],
    begin: Callable[[OrganisationTrust], B],
    clock: Clock,
    *,
    goes_on: Callable[[B], bool] = lambda _: True,
) -> tuple[Enrolled, B]:
    """Enrol with an invitation; `begin` makes the request, unless an earlier run has made it.

    `goes_on` tells whether what that run asked for is still what is wanted; else it is replaced.
    Raises RefusedError (by the authority), UnavailableError, AuthenticityError, PeerError.
    """
    path = folder.path / _name(invite)
    begun: B | None = _read(path, kept)
    if begun is not None and not goes_on(begun):
        begun = None

    def build(trust: OrganisationTrust) -> bytes:
        nonlocal begun
        if begun is None:
            begun = begin(trust)
            write_private(path, encode(begun))
        return begun.request

    try:
        trust, answer = await request_enrolment(invite, build)
    except PeerRefused as error:
        raise RefusedError(error.text) from error
    assert begun is not None, "the request was built before it was answered"
    return check_answer(answer, open_request(begun.request), trust, clock.wall_ms()), begun


def _name(invite: Invite) -> str:
    """Each invitation has a request of its own: one that failed must not spoil the next."""
    return PENDING_PREFIX + token_hash(invite.token)[:8].hex()


def _read(path: Path, kept: Format[B]) -> B | None:
    try:
        return kept.decode(path.read_bytes())
    except FileNotFoundError:
        return None
