"""What a daemon does when its user has another name: mail programs go on, and the user is told."""

from __future__ import annotations

from typing import Any

from epost.apps.mail.service import MailService
from epost.crypto.certificates import AccountCert, recall_account
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.foundation.errors import NotPermitted
from epost.node.assembly import Node


def own_account(node: Node) -> AccountCert | None:
    """Return the account of a machine as certified, ended or not; None if it only stores."""
    if node.device is None:
        return None
    return recall_account(node.device.account_certificate)


class OwnName:
    """The name of the account that a daemon serves, which may change while it runs."""

    def __init__(self, node: Node, passwords: PasswordFile) -> None:
        self._node = node
        self._passwords = passwords

    def adopt(self) -> None:
        """Log mail programs in by the present name as well, and tell the user of it, once.

        To be called at the start and after each change: the machine may have died in between.
        """
        account, mail = own_account(self._node), self._node.mail
        if account is None or mail is None:
            return
        former = self._passwords.rename(account.name)
        if former is not None:
            self._node.driver.run_story(self._tell(mail, former, account.name))

    async def open_mail(self, account: str) -> Any:
        """Return the mailbox of the account, for whoever has logged in; raises NotPermitted."""
        mail = self._node.mail
        if mail is None or self._passwords.passwords_of(account) is None:
            raise NotPermitted("this daemon serves another account")
        return mail.mailbox

    async def _tell(self, mail: MailService, former: str, present: str) -> None:
        await self._node.ready()
        await mail.moved.tell_own(former, present)
