"""The state of one client's connection, whatever carries it (RFC 1939 section 3)."""

from contextlib import ExitStack
from typing import Protocol

from epost.apps.mail.mailbox import INBOX
from epost.servers.access import Channel
from epost.servers.pop3.maildrop import Maildrop
from epost.servers.pop3.site import Pop3Site


class Client(Protocol):
    """The other end, as the commands see it."""

    def send(self, data: bytes) -> None:
        """Queue a piece of an answer; `breathe` often enough to keep the queue small."""
        ...

    async def breathe(self) -> None:
        """Send what is queued, wait while the client is slow, and let others work."""
        ...

    async def read_line(self) -> bytes:
        """The client's answer to a challenge, without its line end."""
        ...

    @property
    def can_start_tls(self) -> bool:
        """Whether STLS is offered, which it is no more once it was used."""
        ...


class Session:
    """Who is logged in, and the maildrop that it has to itself meanwhile."""

    def __init__(self, *, client: Client, site: Pop3Site, channel: Channel) -> None:
        self.client = client
        self.site = site
        self.channel = channel
        self.is_read_only = False  # the password is good for reading only
        self.user: str | None = None  # named by USER, until PASS
        self.maildrop: Maildrop | None = None  # once somebody is logged in
        self.starts_tls = False  # after this command
        self.is_over = False  # hang up after this command
        self._held = ExitStack()

    async def open_maildrop(self, account: str) -> Maildrop:
        """Begin the transaction state; raises MaildropInUse, UnavailableError."""
        with ExitStack() as held:
            held.enter_context(self.site.locks.lock(account))
            mail = await self.site.open_mail(account)
            self.maildrop = await Maildrop.of(await mail.open(INBOX))
            self._held = held.pop_all()
        return self.maildrop

    def leave(self) -> None:
        """Let others have the maildrop; marks that QUIT did not make come true are forgotten."""
        self.maildrop = None
        self._held.close()
