"""What a submission session is given: its settings, its ports and the listener it belongs to."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from epost.foundation.spool import IN_MEMORY, Spool
from epost.servers.access import Authenticator, PeerCheck
from epost.servers.smtp.config import SmtpConfig
from epost.servers.smtp.submission import Submitter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TlsOffer:
    """TLS for STARTTLS; servers know nothing of the ssl module, so the context is opaque."""

    context: Any  # ssl.SSLContext
    server_end_point: bytes | None = None  # hash of its certificate, RFC 5929 section 4.1


@dataclass(frozen=True, slots=True)
class SubmissionServices:
    """Everything that the sessions of a listener share.

    `tls` is None for a plain listener; with implicit TLS it gives the end point, and `starttls`
    is false.
    """

    config: SmtpConfig
    authenticator: Authenticator
    submitter: Submitter
    peer_check: PeerCheck
    wall_ms: Callable[[], int]
    tls: TlsOffer | None = None
    starttls: bool = True
    spool: Spool = IN_MEMORY


class SessionHost(Protocol):
    """The listener, as its sessions see it."""

    def admit(self, session: object) -> bool:
        """Count a new connection; False if there are too many."""
        ...

    def forget(self, session: object) -> None:
        """Take note that a connection has ended."""
        ...

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work that goes on when the connection is lost."""
        ...
