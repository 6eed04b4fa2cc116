"""Rotates the organisation's secret, and gives it to the devices of members (crypto 5.5)."""

from __future__ import annotations

from epost.crypto.certificates import recall_account
from epost.daemon.authority.certifying import Certifier
from epost.daemon.authority.register import Register
from epost.daemon.authority.word import Word
from epost.daemon.authority.world import World
from epost.foundation.codec import encode
from epost.rings.policy import ISSUER_CONTENT
from epost.rings.renewal import Denied
from epost.rings.secret_request import Asking, SecretGiven, request_digest


class SecretDesk:
    """The authority's part; each change is one transaction with the policy that tells of it."""

    def __init__(self, register: Register, certifier: Certifier, word: Word, world: World) -> None:
        self._register = register
        self._certifier = certifier
        self._epochs = certifier.secrets
        self._word = word
        self._world = world

    def rotate(self) -> int:
        """Put a new secret in force; return its epoch. Members fetch it when they see the policy.

        Until then they store nothing under the former one, so who left can test nothing new.
        """
        with self._register.transaction():
            epoch = self._epochs.begin_next(self._world.clock.wall_ms())
            self._word.publish()
        return epoch

    def rotate_if_due(self) -> None:
        """Put a new secret in force twice a year, and within a day after somebody left."""
        if self._epochs.is_due(self._world.clock.wall_ms()):
            self.rotate()

    def outgrow_ring(self) -> None:
        """After a restore: the ring may be in an epoch whose secret the backup did not have.

        To be called inside a transaction, before the next policy is published.
        """
        said = ISSUER_CONTENT.decode(self._word.newest().body.content).policy.secret_epoch
        if said > self._epochs.newest().epoch:
            self._epochs.begin_next(self._world.clock.wall_ms(), after=said)

    def answer(self, request: bytes) -> bytes:
        """Return the answer to a machine that asks for the secret; a denial is one too.

        Raises PeerError, AuthenticityError, NotPermitted for what no machine of the ring signed,
        or for a device that is not its user's.
        """
        asking = self._certifier.asking_for_secret(request)
        if (reason := self._reason_against(asking)) is not None:
            return encode(Denied(reason))
        sealed = self._certifier.sealed_secret(asking.sealing_key, request_digest(request))
        return encode(SecretGiven(self._epochs.newest().epoch, sealed))

    def _reason_against(self, asking: Asking) -> str | None:
        node = self._register.node(asking.node.node_id)
        if node is None or not node.is_in_force:
            return "this machine is not, or no longer, in the organisation"
        account = self._register.account_of_member(node.member_tag)
        if account is None:
            return "this machine has no user here"
        standing = self._register.standing(account.name)
        if standing is not None and standing.is_gone:
            return "this account was removed from the organisation"
        asking.require_device_of(recall_account(account.certificate))
        return None
