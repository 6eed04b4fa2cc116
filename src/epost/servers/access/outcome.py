"""What a login attempt comes from and what it can end in."""

from dataclasses import dataclass, field
from typing import Protocol

from epost.servers.access.passwords import Scope

LOGIN_REJECTED = (
    "Name or password is wrong: the name is the whole address, epost password add makes a password"
)
"""What servers tell a person whose log-in was `Rejected`."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The connection on which somebody tries to log in.

    `scope` is what its service is for: MAIL to read mail, SUBMIT to send some. `source` names the
    peer for the throttle (its address; on loopback its uid where known). `passwords_allowed` is
    true under TLS, or on plain loopback while the uid check is active.
    """

    source: str
    scope: Scope
    passwords_allowed: bool
    tls_server_end_point: bytes | None = None  # RFC 5929 section 4; None: no -PLUS mechanism


@dataclass(frozen=True, slots=True)
class Accepted:
    """The peer is who it says: the account, and the application whose password it used."""

    account: str
    application: str
    scope: Scope = Scope.MAIL


@dataclass(frozen=True, slots=True)
class Rejected:
    """Wrong password, unknown account or wrong scope: never says which."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """Too many failures are already waiting for their turn; the password was not looked at."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The response breaks the rules of its mechanism; nothing was checked."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The exchange goes on: send `data` (the server encodes it) and step with the answer."""

    data: bytes = field(repr=False)


Verdict = Accepted | Rejected | TryLater
SaslOutcome = Verdict | Malformed | Challenge


class SaslExchange(Protocol):
    """One SASL exchange (RFC 4422), without its protocol's framing."""

    async def step(self, response: bytes | None) -> SaslOutcome:
        """Take the client's decoded response; None only as the first, if it sent no initial one.

        Anything but a `Challenge` ends the exchange; a further step is a mistake of the caller.
        """
        ...
