"""The issuer's side of renewal: whose certificates are made anew, and when (crypto 3.10)."""

from __future__ import annotations

from epost.crypto.certificates import (
    AccountCert,
    NodeCert,
    OrganisationTrust,
    recall_account,
    recall_node,
)
from epost.crypto.rekeying import follows
from epost.daemon.authority.certifying import Certifier
from epost.daemon.authority.founding import Organisation
from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import AccountRow, NodeRow, State
from epost.daemon.authority.rules import read_rules
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import AuthenticityError, NotPermitted
from epost.rings.renewal import (
    EXPIRED_MS_MAX,
    Asked,
    Denied,
    Granted,
    account_due_ms,
    node_due_ms,
    open_asked,
)

CLOCKS_APART_MS = DAY_MS
"""A machine whose clock is ahead asks early, and is not sent away."""
ABSENT_PART = 4
"""Of the time that is left when an account is due: then its machines count as away."""
PUBLISHED_MS = 2 * DAY_MS
"""For so long the authority brings a renewed account into the ring, again and again."""


class Renewals:
    """Renews from the register; what is not due yet is given as it is."""

    def __init__(
        self,
        register: Register,
        certifier: Certifier,
        public: Organisation,
        trust: OrganisationTrust,
    ) -> None:
        self._register = register
        self._certifier = certifier
        self._public = public
        self._trust = trust
        self._opened: dict[bytes, AccountCert] = {}

    def answer(self, request: bytes, now: int, *, at_the_port: bool) -> bytes:
        """Return the answer to a machine; a denial is one too.

        At the enrolment port a certificate counts up to a year after its end. To be called inside
        a transaction. Raises PeerError, AuthenticityError for what nobody in the ring signed.
        """
        expired_ms_max = EXPIRED_MS_MAX if at_the_port else 0
        asked = open_asked(request, self._trust, now, expired_ms_max=expired_ms_max)
        asking = asked.node
        try:
            node = self.require_in_force(asking)
        except NotPermitted as error:
            return encode(Denied(str(error)))
        self._register.note_seen([node.node_id], now)
        if asked.whole is not None and asked.whole.account:
            self.adopt(asked.whole.account, now)
        account = self._account_for(asked, node.member_tag)
        return encode(
            Granted(
                node=self._renewed_node(node, now),
                account=self._renewed_account(account, now) if account else b"",
                x509_authorities=(self._public.x509,),
                x509_leaf=self._certifier.leaf(asking.node_key, asking.id, now),
            )
        )

    def renew_absent(self, now: int) -> None:
        """Renew accounts that are due although none of their machines asked in all this time.

        None if the rules want each user to run a machine, except of those who are held, and names
        that went to a successor.
        """
        must_run_node = read_rules(self._register).must_run_node
        standings = self._register.standings()
        for account in self._register.accounts():
            standing = standings.get(account.name)
            state = standing.state if standing else State.MEMBER
            if state is State.REMOVED or (state is State.MEMBER and must_run_node):
                continue
            present = recall_account(account.certificate)
            due = account_due_ms(present)
            if now >= due + (present.not_after - due) // ABSENT_PART:
                self._certifier.renew_account(present, now)

    def fresh(self, now: int) -> list[bytes]:
        """Return what was certified anew so lately that it may not be in the ring yet."""
        known, self._opened = self._opened, {}
        for account in self._register.accounts():
            data = account.certificate
            self._opened[data] = known.get(data) or recall_account(data)
        return [
            data
            for data, certificate in self._opened.items()
            if certificate.version > 1 and now < certificate.not_before + PUBLISHED_MS
        ]

    def fresh_keys(self, now: int) -> list[bytes]:
        """Return those of them whose account was given other keys at some time."""
        return [data for data in self.fresh(now) if self._opened[data].rekey_proof]

    def adopt(self, data: bytes, now: int) -> None:
        """Go on behind the certificate that a deputy gave an account while this daemon was away.

        To be called inside a transaction. Nothing happens for other keys than the account has, or
        those that followed them: a restored authority may not know of these.
        """
        try:
            shown = self._trust.verify_account(data, now)
        except AuthenticityError:
            return  # it has ended: the register has all that counts
        held = self._register.account(shown.name)
        if held is None:
            return
        present = recall_account(held.certificate)
        is_hers = present.account_key == shown.account_key or follows(shown, present)
        if is_hers and shown.version >= present.version and data != held.certificate:
            self._certifier.replace_account(present, data)

    def _account_for(self, asked: Asked, member_tag: bytes) -> AccountRow | None:
        """Return the account of the machine that asks, under the name by which it knows it.

        Machines of the first versions take no renewal under another name; later ones find the
        present name in the certificate of a former one.
        """
        account = self._register.account_of_member(member_tag)
        if account is None:
            return None
        former = self._register.names_with(State.FORMER, account.name)
        if not former:
            return account
        shown = asked.whole.account if asked.whole is not None else b""
        known = recall_account(shown).name if shown else former[0]
        return self._register.account(known) if known in former else account

    def require_in_force(self, asking: NodeCert) -> NodeRow:
        """Return a machine that was not taken out; raises NotPermitted."""
        node = self._register.node(asking.node_id)
        if node is None or node.node_key != asking.node_key:
            raise NotPermitted("the authority does not know this machine")
        if not node.is_in_force:
            raise NotPermitted("this machine was taken out of the organisation")
        return node

    def _renewed_node(self, node: NodeRow, now: int) -> bytes:
        present = recall_node(node.certificate)
        is_in_class = present.quota_class == self._certifier.quotas.class_of(node.member_tag)
        if is_in_class and now + CLOCKS_APART_MS < node_due_ms(present):
            return node.certificate
        return self._certifier.renew_node(present, now)

    def _renewed_account(self, account: AccountRow, now: int) -> bytes:
        present = recall_account(account.certificate)
        if now + CLOCKS_APART_MS < account_due_ms(present):
            return account.certificate
        return self._certifier.renew_account(present, now)
