"""Tells a user, once and in her own inbox, that a name is not the one in use any more.

That somebody whom she writes to has another name now, or she herself. The mail has the id of the
change, so it is one mail however many of her devices tell it, and how often.
"""

from __future__ import annotations

import email.utils
from collections.abc import Collection, Sequence

from epost.apps.mail.index import MailIndex
from epost.apps.mail.log.arrival import arrival
from epost.apps.mail.log.fold import INBOX_ID
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import Inline, Insert
from epost.apps.mail.ports import DeviceLog, Names, in_the_loop
from epost.apps.mail.renditions.rendition import read_mail
from epost.crypto.hashing import digest
from epost.foundation.errors import AuthenticityError, PeerError, RefusedError, UnavailableError
from epost.foundation.ports import Clock
from epost.post.accounts.contacts import Contact

TOLD_REMEMBERED_MAX = 1000


class MovedNames:
    """Looks whether recipients were written to under former names."""

    def __init__(
        self, *, names: Names, log: DeviceLog, index: MailIndex, ledger: Ledger, clock: Clock
    ) -> None:
        self._names = names
        self._log = log
        self._index = index
        self._ledger = ledger
        self._clock = clock
        self._told: dict[tuple[str, str], None] = {}

    def present_of(self, name: str) -> str:
        """Return the name that its holder has now, as far as was looked up lately."""
        contact = self._names.remembered(name)
        return name if contact is None else contact.account.present_name

    def without_twins(self, names: Sequence[str]) -> list[str]:
        """Return names without those whose holders are also named by the name that they have now:
        nobody gets a mail twice."""
        present = set(names)
        return [n for n in names if (p := self.present_of(n)) == n or p not in present]

    def untold(self, recipients: Collection[str]) -> list[str]:
        """Return those of them that are former names, and not known to be told."""
        moves = ((name, self.present_of(name)) for name in recipients)
        return [n for n, present in moves if n != present and (n, present) not in self._told]

    async def new_name_of(self, contact: Contact) -> str | None:
        """Return the name that took the place of the one looked up, if there is another.

        None as well if it cannot be verified at present that it is of the same keys.
        """
        if contact.account.present_name == contact.account.name:
            return None
        try:
            return (await self._names.present(contact)).name
        except (AuthenticityError, PeerError, RefusedError, UnavailableError):
            return None

    async def tell_of(self, recipients: Collection[str]) -> None:
        """Say which of them have other names now; what cannot be verified now is told next time."""
        for name in recipients:
            contact = self._names.remembered(name)
            present = None if contact is None else await self.new_name_of(contact)
            if present is None:
                continue
            await self._tell(
                name,
                present,
                f"{name} is {present} now.\r\n\r\nThe organisation certifies the same keys "
                "under the new name, so it is\r\nthe same account. Mail to the old name still "
                "arrives, for a time:\r\nchange it in your address book.\r\n",
            )

    async def tell_own(self, former: str, present: str) -> None:
        """Say that the user has another name herself."""
        await self._tell(
            former,
            present,
            f"You are {present} now.\r\n\r\nWhoever runs your organisation gave you this name. "
            f"Mail to\r\n{former} still arrives, and you may still send under\r\nthat name, for "
            "a time; who writes to it is told the new one.\r\n\r\nYour mail program goes on as it "
            "is: the old user name and password\r\nare still good. Change the address in its "
            "identity, so that your\r\nmails say the new name.\r\n",
        )

    async def _tell(self, former: str, present: str, text: str) -> None:
        self._told[former, present] = None
        if len(self._told) > TOLD_REMEMBERED_MAX:
            del self._told[next(iter(self._told))]
        me = self._names.me
        name = digest("mail/moved", me.account_id, former.encode(), present.encode())[:16]
        if name in self._index.facts((name,)):
            return
        octets = self._mail(me.name, f"{former} is {present} now", text, name.hex())
        _, rendition = await read_mail(octets, in_the_loop)
        self._ledger.prepare(name, rendition)
        insert = Insert(
            email=name,
            folder=INBOX_ID,
            flags=(),
            seconds=self._clock.wall_ms() // 1000,
            zone_minutes=0,
            size=len(octets),
            content=Inline(octets),
        )
        await self._log.submit(arrival(insert, self._clock))

    def _mail(self, me: str, subject: str, text: str, name: str) -> bytes:
        domain = me.rpartition("@")[2]
        lines = [
            f"From: Directory <postmaster@{domain}>",
            f"To: {me}",
            f"Subject: {subject}",
            f"Date: {email.utils.formatdate(self._clock.wall_ms() // 1000)}",
            f"Message-ID: <{name}@{domain}>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=us-ascii",
            "",
            text,
        ]
        return "\r\n".join(lines).encode("ascii")
