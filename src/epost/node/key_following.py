"""How each machine of an account goes on under its other keys (docs/decisions/0060).

Nobody tells it how: it sees that its account has later keys, reads the account in the ring, whose
keys must descend through the one it has, and finds itself certified there.
"""

from __future__ import annotations

from epost.crypto.certificates import AccountCert, recall_account, recall_device
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    RefusedError,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ports import Observer
from epost.node.assembly import Node
from epost.node.key_note import noted
from epost.node.observed import AccountRekeyed, KeysNotFollowed
from epost.post.accounts.contacts import Contact
from epost.post.accounts.devices import Device


class KeyFollowing:
    """The part of one machine; a machine without a user has nothing to do."""

    def __init__(self, node: Node, observer: Observer) -> None:
        self._node = node
        self._observer = observer
        self._generation = 0
        """The latest of which was heard."""
        self.failure = ""
        """Why this machine did not follow the last time."""

    def hear_of(self, account: AccountCert) -> None:
        """The authority shows a certificate of later keys."""
        self._generation = max(self._generation, account.generation)

    @property
    def is_awaited(self) -> bool:
        """Are there later keys than this machine signs under, as far as is known?"""
        device = self._node.device
        if device is None:
            return False
        own = recall_account(device.account_certificate)
        return own.generation < self._generation or self._node.issuers.is_key_succeeded(own)

    async def follow(self) -> None:
        """Sign under the account's later keys, if there are any; what fails is tried again."""
        device, post = self._node.device, self._node.post
        if device is None or post is None or not self.is_awaited:
            return
        await self._node.ready()
        own = recall_account(device.account_certificate)
        try:
            found = await post.services.accounts.resolve(own.name, fresh=True)
            if found.account.generation <= own.generation:
                return
            certificate = _own_certificate(found, own, device)
        except UnavailableError as error:
            self._observer.record(KeysNotFollowed(str(error)))  # which is nothing to worry about
        except (AuthenticityError, NotFoundError, PeerError, RefusedError) as error:
            self.failure = str(error)
            self._observer.record(KeysNotFollowed(self.failure))
        else:
            await self._sign_under(certificate, found)
            post.siblings.wake()  # the data key of the new keyring is wanted

    async def _sign_under(self, certificate: bytes, found: Contact) -> None:
        await self._node.driver.durable([noted(found.certificate)])
        recovery_key = found.identity.recovery_sealing_key
        await self._node.adopt_key(certificate, recovery_key, found.certificate)
        self.failure = ""
        self._observer.record(AccountRekeyed(found.account.generation))


def _own_certificate(found: Contact, own: AccountCert, device: Device) -> bytes:
    """Return this device's certificate by the later key.

    Raises UntrustedCertificate if the keys do not descend through the one that this machine has,
    or if it is listed no more.
    """
    found.require_later_than(own)
    for certificate in found.identity.devices:
        opened = recall_device(certificate)
        if opened.device_key == device.signing.public and not found.revocation(opened.device_key):
            return certificate
    raise UntrustedCertificate("this machine is not one of the account any more")
