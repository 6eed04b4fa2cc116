"""What the IMAP server is given: who may log in, where the mail is, and its bounds."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from epost.apps.mail.mailbox import AccountMail
from epost.apps.mail.ports import Offload
from epost.foundation.ports import Clock
from epost.foundation.spool import IN_MEMORY, Spool
from epost.servers.access import Authenticator
from epost.servers.imap.limits import ImapLimits


@dataclass(frozen=True, slots=True)
class ImapSite:
    """The same for all connections of a listener."""

    authenticator: Authenticator
    open_mail: Callable[[str], Awaitable[AccountMail]]  # by account; may raise UnavailableError
    clock: Clock
    offload: Offload  # runs what takes long beside the event loop
    spool: Spool = IN_MEMORY  # where mails wait that are too large for memory
    storage_limit: Callable[[], int] = lambda: 0  # octets of mail per account, 0 for no limit
    product_version: str = ""  # told to clients after login only
    limits: ImapLimits = field(default_factory=ImapLimits)
    ordering: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while very much is ordered
