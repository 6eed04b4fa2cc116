"""A member's account is given the keys to which its present one handed it over.

Which key is the present one is in the register, so of two statements of one key the first that
comes counts, and none of a former key. Every name of the account is certified anew.
"""

from __future__ import annotations

from epost.crypto.certificates import account_key_hash, recall_account
from epost.daemon.authority.certifying import Certifier
from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import AccountRow, State
from epost.daemon.authority.renewing import Renewals
from epost.daemon.authority.word import DEPUTYS_MS, Word
from epost.daemon.authority.world import World
from epost.foundation.codec import encode
from epost.foundation.errors import NotPermitted
from epost.rings.rekeying import AskedToRekey, Rekeyed, open_rekey_request
from epost.rings.renewal import Denied


class KeyChanges:
    """Certifies other keys for accounts of the register; each change is one transaction."""

    def __init__(
        self,
        register: Register,
        certifier: Certifier,
        renewals: Renewals,
        word: Word,
        world: World,
    ) -> None:
        self._register = register
        self._certifier = certifier
        self._renewals = renewals
        self._word = word
        self._world = world

    def answer(self, request: bytes) -> bytes:
        """Return the answer to a machine; a denial is one too.

        Raises PeerError, AuthenticityError, NotPermitted for what nobody in the ring signed.
        """
        now = self._world.clock.wall_ms()
        asked = open_rekey_request(request, self._certifier.trust, now)
        try:
            with self._register.transaction():
                return encode(Rekeyed(self._change(asked, now)))
        except NotPermitted as error:
            return encode(Denied(str(error)))

    def _change(self, asked: AskedToRekey, now: int) -> bytes:
        node = self._renewals.require_in_force(asked.node)
        account = self._register.account_of_member(node.member_tag)
        if account is None:
            raise NotPermitted("this machine has no user")
        present = recall_account(account.certificate)
        if asked.rekeying.leads_to(present) and asked.proof == present.rekey_proof:
            return account.certificate  # the answer was lost
        if not asked.rekeying.follows_on(present):
            raise NotPermitted(
                "these are not the 24 words that are in force: the account has other keys, or "
                "never had those"
            )
        for row in self._names_of(account):
            self._certify(row, asked, now)
        until = now + max(DEPUTYS_MS, present.not_after - now)
        self._register.succeed_key(account_key_hash(present.account_key), now, until)
        self._certifier.quotas.count_change()
        self._word.publish()
        certified = self._register.account(account.name)
        assert certified is not None, "it was just certified"
        return certified.certificate

    def _names_of(self, account: AccountRow) -> list[AccountRow]:
        """Return the account under its present name, then under the others that stand for it."""
        names = [account.name]
        for state in (State.FORMER, State.TRANSFERRED):
            names += self._register.names_with(state, account.name)
        rows = [self._register.account(name) for name in names]
        return [row for row in rows if row is not None]

    def _certify(self, row: AccountRow, asked: AskedToRekey, now: int) -> None:
        """Certify the following keys for a name, whose aliases and flags stay."""
        before = recall_account(row.certificate)
        wanted = asked.rekeying.applied_to(before, asked.proof)
        data = self._certifier.certify_name(wanted, before, now)
        self._certifier.replace_account(wanted, data)
