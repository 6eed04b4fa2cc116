"""What the POP3 server is given: who may log in, where the mail is, and its bounds."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from epost.apps.mail.mailbox import AccountMail
from epost.servers.access import Authenticator
from epost.servers.pop3.limits import Pop3Limits


class MaildropInUse(Exception):  # noqa: N818 - an event of the protocol, not an error of ours
    """Another session has the maildrop (RFC 1939 section 4)."""


class MaildropLocks:
    """Who has a maildrop: one session at a time has it to itself."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    @contextmanager
    def lock(self, account: str) -> Iterator[None]:
        """Have a maildrop until the end of the block; raises MaildropInUse."""
        if account in self._taken:
            raise MaildropInUse
        self._taken.add(account)
        try:
            yield
        finally:
            self._taken.discard(account)


@dataclass(frozen=True, slots=True)
class Pop3Site:
    """The same for all connections of a listener."""

    authenticator: Authenticator
    open_mail: Callable[[str], Awaitable[AccountMail]]  # by account; may raise UnavailableError
    limits: Pop3Limits = field(default_factory=Pop3Limits)
    locks: MaildropLocks = field(default_factory=MaildropLocks)
