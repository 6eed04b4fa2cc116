"""What every client-facing listener shares: who may log in, how often, and from where.

Servers import from this package and never look inside it.
"""

from epost.servers.access.authenticator import AppPasswordAuthenticator, Authenticator
from epost.servers.access.conversation import ClientGone, Conversation
from epost.servers.access.dialogue import Cancelled, converse
from epost.servers.access.forbearance import Forbearance
from epost.servers.access.guard import EveryPeer, PeerCheck, looks_like_foreign_protocol
from epost.servers.access.outcome import (
    LOGIN_REJECTED,
    Accepted,
    Challenge,
    Channel,
    Malformed,
    Rejected,
    SaslExchange,
    SaslOutcome,
    TryLater,
    Verdict,
)
from epost.servers.access.passwords import (
    AccountPasswords,
    AppPassword,
    IssuedPassword,
    PasswordBook,
    Scope,
    issue_app_password,
)
from epost.servers.access.streams import Reader, Secured, StartTls, Writer
from epost.servers.access.throttle import FailureThrottle, ThrottleLimits

__all__ = [
    "LOGIN_REJECTED",
    "Accepted",
    "AccountPasswords",
    "AppPassword",
    "AppPasswordAuthenticator",
    "Authenticator",
    "Cancelled",
    "Challenge",
    "Channel",
    "ClientGone",
    "Conversation",
    "EveryPeer",
    "FailureThrottle",
    "Forbearance",
    "IssuedPassword",
    "Malformed",
    "PasswordBook",
    "PeerCheck",
    "Reader",
    "Rejected",
    "SaslExchange",
    "SaslOutcome",
    "Scope",
    "Secured",
    "StartTls",
    "ThrottleLimits",
    "TryLater",
    "Verdict",
    "Writer",
    "converse",
    "issue_app_password",
    "looks_like_foreign_protocol",
]
