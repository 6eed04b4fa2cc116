"""What the authority's issuer certifies, each entered in the certified log before it leaves."""

from __future__ import annotations

import msgspec

from epost.crypto import x509
from epost.crypto.certificates import (
    AccountCert,
    NodeCert,
    NodeRole,
    OrganisationTrust,
    account_id_of,
    certificate_hash,
    certify,
    recall_account,
)
from epost.crypto.signing import SigningKey
from epost.daemon.authority.certified_log import CertifiedLog
from epost.daemon.authority.founding import FIRST_ISSUER, Organisation
from epost.daemon.authority.keys import IssuerKeys
from epost.daemon.authority.quotas import Quotas
from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import AccountRow, NodeRow
from epost.daemon.authority.rules import read_rules
from epost.daemon.authority.secret_epochs import SecretEpochs
from epost.daemon.authority.world import World
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import NotPermitted
from epost.foundation.ids import Id, NodeId
from epost.rings.enrolment import DeviceRequest, MemberRequest, sealing_key_hash
from epost.rings.node_ids import Placed, draw_node_id
from epost.rings.policy import CertifiedLogHead
from epost.rings.secret_request import SEAL_CONTEXT, Asking, open_secret_request

REPLICATION_FACTOR = 3
DEPUTYS_VERSIONS_MAX = 1000
"""More often no deputy renews an account while the authority is away: twice a year."""
NODES_PER_MEMBER_MAX = 3
"""Machines in force at a time (crypto 3.4)."""


class Certifier:
    """The issuer's key at work, on the register."""

    def __init__(
        self,
        register: Register,
        keys: IssuerKeys,
        public: Organisation,
        trust: OrganisationTrust,
        world: World,
    ) -> None:
        self._register = register
        self._keys = keys
        self._public = public
        self.trust = trust
        self._world = world
        self._issuer = SigningKey(keys.issuer)
        self._log = CertifiedLog(register, keys.certified_log, world.entropy)
        self.quotas = Quotas(register)
        self.secrets = SecretEpochs(
            register, keys.organisation_secret, trust.issuers[0].not_before, world.entropy
        )

    def certify_account(self, request: MemberRequest, member_tag: bytes, now: int) -> bytes:
        """Certify a new account's keys and enter it; return the certificate."""
        account_id = account_id_of(request.account_key)
        former = self._register.account(request.name)
        self._register.forget_standing(request.name)
        certificate = AccountCert(
            format=1,
            issuer=FIRST_ISSUER,
            ring=self._public.ring,
            name=request.name,
            account_id=account_id,
            generation=0,
            account_key=request.account_key,
            recovery_key=request.recovery_key,
            recovery_sealing_hash=sealing_key_hash(request.recovery_sealing_key),
            aliases=(),
            flags=0,
            # The ring keeps the certificate block of whoever had the name before.
            version=self._version_after(recall_account(former.certificate)) if former else 1,
            rekey_proof=b"",
            log_sequence=self._log_statement(request.name.encode(), request.account_key),
            not_before=now,
            not_after=now + read_rules(self._register).account_days * DAY_MS,
        )
        data = certify(self._issuer, certificate)
        self._register.add_account(request.name, account_id, data, member_tag)
        return data

    def renew_account(self, present: AccountCert, now: int) -> bytes:
        """Certify the same keys of an account anew and keep that; return the certificate."""
        data = self._certify_anew(present, present.version + 1, now)
        self.replace_account(present, data)
        return data

    def _certify_anew(self, account: AccountCert, version: int, now: int) -> bytes:
        renewed = msgspec.structs.replace(
            account,
            issuer=FIRST_ISSUER,
            version=version,
            log_sequence=self._log_statement(account.name.encode(), account.account_key),
            not_before=now,
            not_after=now + read_rules(self._register).account_days * DAY_MS,
        )
        return certify(self._issuer, renewed)

    def hand_over(self, account: AccountRow, heir: AccountRow, now: int) -> bytes:
        """Certify the heir's keys for an account's name, as its newest certificate; return it."""
        former = recall_account(account.certificate)
        present = recall_account(heir.certificate)
        version = self._version_after(former) - 1  # renewing adds the last
        return self.renew_account(
            msgspec.structs.replace(present, name=former.name, aliases=(), version=version), now
        )

    def certify_name(self, account: AccountCert, before: AccountCert | None, now: int) -> bytes:
        """Certify an account's keys for the name that `account` gives it; return the certificate.

        `before` is what the name was certified for last, if ever. Nothing is kept of it.
        """
        version = account.version + 1
        if before is not None:
            version = max(version, self._version_after(before))
        return self._certify_anew(account, version, now)

    def _version_after(self, former: AccountCert) -> int:
        """Return the version by which another takes a name over, whatever deputies gave it."""
        has_deputies = len(self.trust.issuers) > 1
        return former.version + (DEPUTYS_VERSIONS_MAX if has_deputies else 1)

    def replace_account(self, present: AccountCert, data: bytes) -> None:
        """Keep this as the account's newest certificate."""
        held = self._register.account(present.name)
        assert held is not None, "only what is in the register is renewed"
        former = recall_account(held.certificate)
        self._register.supersede(certificate_hash(held.certificate), present.name, former.not_after)
        self._register.renew_account(present.name, data)

    def certify_node(
        self, node_key: bytes, member_tag: bytes, now: int, *, site: bytes = b""
    ) -> tuple[bytes, bytes]:
        """Draw an id for a node, with neighbours at other sites, and certify it; return
        certificate and X.509 leaf."""
        rules = read_rules(self._register)
        members = [
            Placed(NodeId(Id(node.node_id)), node.site.encode())
            for node in self._register.nodes()
            if node.is_in_force
        ]
        node_id = draw_node_id(members, site, REPLICATION_FACTOR, self._world.entropy)
        certificate = NodeCert(
            format=1,
            issuer=FIRST_ISSUER,
            ring=self._public.ring,
            node_id=node_id,
            node_key=node_key,
            member_tag=member_tag,
            roles=int(NodeRole.STORAGE),
            gateway_domains=(),
            site=site,
            quota_class=self.quotas.class_of(member_tag),
            serial=self._world.entropy.token(16),
            log_sequence=self._log_statement(node_id, node_key),
            not_before=now,
            soft_expiry=now + rules.node_soft_days * DAY_MS,
            not_after=now + rules.node_days * DAY_MS,
        )
        data = certify(self._issuer, certificate)
        self._register.add_node(
            NodeRow(
                certificate.serial, node_id, node_key, member_tag, site.decode(),
                certificate.roles, data, certificate.not_after, now,
            )
        )  # fmt: skip
        return data, self.leaf(node_key, node_id, now)

    def renew_node(self, present: NodeCert, now: int) -> bytes:
        """Certify a node anew under its id and serial and keep that; return the certificate.

        The serial stays, so one revocation is of all certificates that the node ever had.
        """
        rules = read_rules(self._register)
        renewed = msgspec.structs.replace(
            present,
            issuer=FIRST_ISSUER,
            quota_class=self.quotas.class_of(present.member_tag),
            log_sequence=self._log_statement(present.node_id, present.node_key),
            not_before=now,
            soft_expiry=now + rules.node_soft_days * DAY_MS,
            not_after=now + rules.node_days * DAY_MS,
        )
        data = certify(self._issuer, renewed)
        self._register.renew_node(present.node_id, data, renewed.not_after)
        return data

    def verified_account(self, data: bytes) -> AccountCert:
        """Verify what somebody shows; raises AuthenticityError, PeerError."""
        return self.trust.verify_account(data, self._world.clock.wall_ms())

    def leaf(self, node_key: bytes, node_id: NodeId, now: int) -> bytes:
        """Return an X.509 certificate for a node."""
        return x509.make_leaf(
            self._keys.x509,
            self._public.x509,
            node_key=node_key,
            node_id=node_id,
            not_before_ms=now,
        )

    def member_of(self, request: DeviceRequest) -> AccountRow:
        """Return the account that asks for one more machine; raises NotPermitted."""
        member = self._register.account(request.name)
        now = self._world.clock.wall_ms()
        known = None if member is None else self.trust.verify_account(member.certificate, now)
        standing = self._register.standing(request.name)
        if standing is not None and standing.is_gone:
            raise NotPermitted("this account was removed from the organisation")
        if member is None or known is None or known.account_key != request.account_key:
            raise NotPermitted("these are not the 24 words of this account")
        if len(self._register.nodes_in_force(member.member_tag)) >= NODES_PER_MEMBER_MAX:
            raise NotPermitted(
                f"a member has at most {NODES_PER_MEMBER_MAX} machines in the ring: revoke one "
                "that is gone (epost org revoke-node)"
            )
        return member

    def sealed_secret(self, sealing_key: bytes, bound_to: bytes) -> bytes:
        """Seal the organisation's secret to a new device, for one request only."""
        secret = self.secrets.newest().secret
        return self._world.sealing.seal(sealing_key, SEAL_CONTEXT, bound_to, secret)

    def asking_for_secret(self, request: bytes) -> Asking:
        """Return who asks for the organisation's secret; raises as `open_secret_request`."""
        return open_secret_request(request, self.trust, self._world.clock.wall_ms())

    def _log_statement(self, subject: bytes, key: bytes) -> int:
        """Enter who was certified with which key; return the place in the certified log."""
        return self._log.enter(subject, key)

    def log_head(self) -> CertifiedLogHead:
        """Return where the certified log is."""
        return self._log.head()
