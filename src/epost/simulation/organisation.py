"""A simulated organisation: an authority in memory that enrols, revokes and says the policy.

The certificates and blocks are the real ones (`crypto.certificates`, `rings.policy`), signed with
keys drawn from the seed. It stands for `daemon.authority` with its enrolment over TLS, of which
only the outcome matters here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from epost.crypto import x509
from epost.crypto.certificates import (
    AccountCert,
    AccountFlag,
    IssuerCert,
    NodeCert,
    NodeRole,
    OrganisationTrust,
    OrgCert,
    Power,
    account_key_hash,
    certify,
)
from epost.crypto.names import ring_of
from epost.crypto.rekeying import open_rekeying, proof_of
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import KeyBlock
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import Address, BlockKind, NodeHandle, NodeId
from epost.foundation.ports import Clock, Sealing
from epost.node.settings import NodeMembership
from epost.past.client import BlockStore
from epost.post.accounts.devices import AccountKeys, DeviceSecrets, Signing
from epost.post.accounts.keyring import EpochSecret
from epost.post.accounts.new_devices import NewAccount, create_account
from epost.post.accounts.recovery import enter_device
from epost.rings.enrolment import sealing_key_hash
from epost.rings.node_ids import Placed, draw_node_id
from epost.rings.policy import (
    DEFAULT_LIFETIMES,
    NEXT_UPDATE_MS_MAX,
    QUOTA_CLASSES_MAX,
    CertifiedLogHead,
    IssuerContent,
    Policy,
    Reason,
    Revocation,
    RootContent,
    make_issuer_block,
    make_root_block,
)
from epost.rings.renewal import Denied, Granted, account_due_ms, open_renewal
from epost.rings.secret_request import (
    SEAL_CONTEXT,
    SecretGiven,
    commitment_of,
    open_secret_request,
    request_digest,
)
from epost.simulation.sealing import SimulatedSealing
from epost.simulation.world import SimulatedEntropy

REPLICATION_FACTOR = 3
ISSUER = 1
FIRST_EPOCH = 1
REPLACED = 1
"""Reason of a revocation: the machine lost its disk and is enrolled anew."""
PORT = 4510
ISSUER_MS = 2 * 365 * DAY_MS
"""How long the organisation's own certificates are good for: no run takes longer."""

_ALL_POWERS = int(Power.ACCOUNTS | Power.NODES | Power.REVOCATION | Power.POLICY)


@dataclass(frozen=True)
class Account:
    """What the enrolment of a user leaves on her disk, beside the membership of her node."""

    name: str
    certificate: bytes = field(repr=False)
    secrets: DeviceSecrets = field(repr=False)
    first_blocks: Sequence[tuple[BlockKind, bytes]] = field(repr=False)
    recovery_seed: bytes = field(repr=False)
    """What the owner has on paper."""


class SimulatedOrganisation:
    """Certifies whoever is named, and publishes what every member goes by."""

    def __init__(self, seed: int, clock: Clock, domain: str = "example.org") -> None:
        self._clock = clock
        self._entropy = SimulatedEntropy(seed, "authority")
        self._sealing: Sealing = SimulatedSealing(self._entropy)
        self._domain = domain
        self._ring = ring_of(domain)
        self._root, self._issuer = self._draw_key(), self._draw_key()
        self._secret = EpochSecret(FIRST_EPOCH, self._entropy.token(32))
        self._x509_seed = SimulatedEntropy(seed, "authority", "x509").token(32)
        self._x509 = x509.make_authority(self._x509_seed, domain, not_before_ms=clock.wall_ms())
        self._nodes: dict[NodeId, NodeCert] = {}
        self._accounts: dict[NodeId, AccountCert] = {}
        """The newest certificate of the account of each machine that has one."""
        self._revoked: dict[NodeId, Revocation] = {}
        self._succeeded: list[Revocation] = []
        """Account keys that others followed."""
        self.quotas: tuple[int, ...] = ()
        """By class, as the policy has them."""
        self.quota_classes: dict[NodeId, int] = {}
        """Which class each machine is given at its next renewal, if not 0."""
        organisation, issuer = self._certify_itself()
        self.trust = OrganisationTrust(organisation, [issuer])
        root_content = RootContent(format=1, issuers=(issuer,), removed=(), succession=b"")
        self._root_block = make_root_block(
            self._root,
            ring=self._ring,
            previous=None,
            issued_at=clock.wall_ms(),
            content=root_content,
        )
        self._newest: KeyBlock | None = None

    def enrol(self, name: str, bootstrap: Sequence[NodeHandle]) -> NodeMembership:
        """Certify a new machine under a fresh id; `publish` tells the others that it counts."""
        key = self._draw_key()
        placed = [Placed(node, b"") for node in sorted(self._nodes)]
        node_id = draw_node_id(placed, b"", REPLICATION_FACTOR, self._entropy)
        now = self._clock.wall_ms()
        certificate = NodeCert(
            format=1,
            issuer=ISSUER,
            ring=self._ring,
            node_id=node_id,
            node_key=key.public,
            member_tag=self._entropy.token(16),
            roles=int(NodeRole.STORAGE),
            gateway_domains=(),
            site=b"",
            quota_class=0,
            serial=self._entropy.token(16),
            log_sequence=0,
            not_before=now,
            soft_expiry=now + DEFAULT_LIFETIMES.node_soft_days * DAY_MS,
            not_after=now + DEFAULT_LIFETIMES.node_days * DAY_MS,
        )
        self._nodes[node_id] = certificate
        address = Address(f"{name}.{self._domain}", PORT)
        return NodeMembership(
            me=NodeHandle(self._ring, node_id, (address,)),
            node_key=key,
            node_certificate=certify(self._issuer, certificate),
            trust=self.trust,
            authority_blocks=self.blocks(),
            bootstrap=tuple(bootstrap),
        )

    def create_account(self, local_part: str, contact: NodeHandle) -> Account:
        """Make an account whose one device is the machine `contact`."""
        name = f"{local_part}@{self._domain}"
        recovery_seed = self._entropy.token(32)
        new = create_account(
            recovery_seed,
            contact=contact,
            now_ms=self._clock.wall_ms(),
            sealing=self._sealing,
            entropy=self._entropy,
        )
        account = self._account(name, new)
        self._accounts[contact.id] = account
        certificate = certify(self._issuer, account)
        return Account(
            name,
            certificate,
            msgspec.structs.replace(new.secrets, organisation_secrets=(self._secret,)),
            (
                (BlockKind.CERTIFICATE, certificate),
                (BlockKind.KEY, new.identity.data),
                (BlockKind.CONTENT, new.keyring),
                (BlockKind.KEY, new.device_block.data),
            ),
            recovery_seed,
        )

    async def add_device(
        self, account: Account, blocks: BlockStore, contact: NodeHandle, *, revoke: bool
    ) -> Account:
        """Return the account as a further machine has it, which its owner adds with her phrase.

        It is read and changed through `blocks`; with `revoke` the new machine is the only one.
        """
        keys = AccountKeys(account.recovery_seed)
        by = Signing(keys, self._clock.wall_ms(), self._sealing, self._entropy)
        device = await enter_device(by, blocks, contact, revoke=revoke)
        return replace(
            account,
            secrets=msgspec.structs.replace(device.secrets, organisation_secrets=(self._secret,)),
            first_blocks=(
                (BlockKind.CONTENT, device.keyring),
                (BlockKind.KEY, device.device_block.data),
                (BlockKind.KEY, device.identity.data),
            ),
        )

    def renew(self, request: bytes) -> bytes:
        """Answer a machine that asks for renewal, as `daemon.authority.renewing` does."""
        now = self._clock.wall_ms()
        present = open_renewal(request, self.trust, now)
        if present.id in self._revoked:
            return encode(Denied("this machine was taken out of the organisation"))
        node = msgspec.structs.replace(
            self._dated(present, now), quota_class=self.quota_classes.get(present.id, 0)
        )
        account = self._accounts.get(present.id)
        if account is not None and now >= account_due_ms(account):
            account = self._accounts[present.id] = msgspec.structs.replace(
                account,
                version=account.version + 1,
                not_before=now,
                not_after=now + DEFAULT_LIFETIMES.account_days * DAY_MS,
            )
        leaf = x509.make_leaf(
            self._x509_seed, self._x509, node_key=node.node_key, node_id=node.id, not_before_ms=now
        )
        signed = certify(self._issuer, account) if account else b""
        return encode(Granted(certify(self._issuer, node), signed, (self._x509,), leaf))

    def rename(self, name: str, new: str) -> tuple[bytes, bytes]:
        """Give an account another name, as `daemon.authority.renaming` does.

        Returns the certificates of both names, to be brought into the ring; `publish` tells the
        others.
        """
        present = next(a for a in self._accounts.values() if a.name == name)
        version = present.version + 1
        change = msgspec.structs.replace
        named = change(present, name=new, aliases=(name,), version=version)
        former = change(
            present, aliases=(new,), flags=int(AccountFlag.FORMER_NAME), version=version
        )
        self._change(present, former)
        return certify(self._issuer, named), certify(self._issuer, former)

    def rekey(self, statement: bytes) -> bytes:
        """Give an account the keys to which its present one hands over, as
        `daemon.authority.rekeying` does.

        Returns the certificate, to be brought into the ring; `publish` tells the others.
        """
        following = open_rekeying(statement)
        present = next(a for a in self._accounts.values() if a.account_key == following.former_key)
        account = following.applied_to(present, proof_of(statement))
        account = msgspec.structs.replace(account, version=present.version + 1)
        self._change(present, account)
        key_hash = account_key_hash(present.account_key)
        self._succeeded.append(Revocation(key_hash, Reason.SUCCEEDED, self._clock.wall_ms()))
        return certify(self._issuer, account)

    def _change(self, present: AccountCert, following: AccountCert) -> None:
        """Certify an account otherwise, and have its machines ask."""
        for node_id, account in self._accounts.items():
            if account.account_id == present.account_id:
                self._accounts[node_id] = following
        changes = self.quotas[-1] if len(self.quotas) == QUOTA_CLASSES_MAX else 0
        classes = (*self.quotas[: QUOTA_CLASSES_MAX - 1], *(0,) * QUOTA_CLASSES_MAX)
        self.quotas = (*classes[: QUOTA_CLASSES_MAX - 1], changes + 1)

    def rotate_secret(self) -> None:
        """Put the organisation's secret of the next epoch in force; `publish` tells the others."""
        self._secret = EpochSecret(self._secret.epoch + 1, self._entropy.token(32))

    def give_secret(self, request: bytes) -> bytes:
        """Answer a machine that asks for the secret, as `daemon.authority.secret_desk` does."""
        asking = open_secret_request(request, self.trust, self._clock.wall_ms())
        if asking.node.id in self._revoked:
            return encode(Denied("this machine was taken out of the organisation"))
        asking.require_device_of(self._accounts[asking.node.id])
        bound_to, secret = request_digest(request), self._secret
        sealed = self._sealing.seal(asking.sealing_key, SEAL_CONTEXT, bound_to, secret.secret)
        return encode(SecretGiven(secret.epoch, sealed))

    @staticmethod
    def _dated(certificate: NodeCert, now: int) -> NodeCert:
        return msgspec.structs.replace(
            certificate,
            not_before=now,
            soft_expiry=now + DEFAULT_LIFETIMES.node_soft_days * DAY_MS,
            not_after=now + DEFAULT_LIFETIMES.node_days * DAY_MS,
        )

    def revoke(self, node_id: NodeId) -> None:
        """Take a machine out for good; `publish` tells the others."""
        now = self._clock.wall_ms()
        self._revoked[node_id] = Revocation(self._nodes[node_id].serial, REPLACED, now)

    def publish(self) -> bytes:
        """Sign the next issuer block: who is revoked, how many machines store."""
        now = self._clock.wall_ms()
        content = IssuerContent(
            format=1,
            number=0,
            next_update=now + NEXT_UPDATE_MS_MAX,
            revoked=(*self._revoked.values(), *self._succeeded),
            policy=self._policy(),
            certified_log=CertifiedLogHead(0, bytes(32)),
        )
        self._newest = make_issuer_block(
            self._issuer, ring=self._ring, previous=self._newest, issued_at=now, content=content
        )
        return self._newest.data

    def blocks(self) -> tuple[bytes, ...]:
        """Return what a new member is given: the root block and the newest issuer block."""
        newest = () if self._newest is None else (self._newest.data,)
        return (self._root_block.data, *newest)

    def _draw_key(self) -> SigningKey:
        return SigningKey(self._entropy.token(32))

    def _policy(self) -> Policy:
        return Policy(
            replication_factor=REPLICATION_FACTOR,
            enrolled_storage_nodes=len(self._nodes) - len(self._revoked),
            quotas=self.quotas,
            secret_epoch=self._secret.epoch,
            secret_commitment=commitment_of(self._secret.secret),
            organisation_mode_bytes_min=64 * 1024,
            has_escrow=False,
            lifetimes=DEFAULT_LIFETIMES,
        )

    def _certify_itself(self) -> tuple[bytes, bytes]:
        now = self._clock.wall_ms()
        until = now + ISSUER_MS
        organisation = OrgCert(
            1, self._domain, self._ring, 0, self._root.public, 8, now, until + DAY_MS
        )
        issuer = IssuerCert(
            1, self._ring, self._issuer.public, self._issuer.public, _ALL_POWERS, bytes(32),
            x509.spki_sha256(self._x509), ISSUER, now, until,
        )  # fmt: skip
        return certify(self._root, organisation), certify(self._root, issuer)

    def _account(self, name: str, new: NewAccount) -> AccountCert:
        now = self._clock.wall_ms()
        return AccountCert(
            format=1,
            issuer=ISSUER,
            ring=self._ring,
            name=name,
            account_id=new.keys.account_id,
            generation=0,
            account_key=new.keys.account.public,
            recovery_key=new.keys.recovery.public,
            recovery_sealing_hash=sealing_key_hash(new.recovery_sealing_key),
            aliases=(),
            flags=0,
            version=1,
            rekey_proof=b"",
            log_sequence=0,
            not_before=now,
            not_after=now + DEFAULT_LIFETIMES.account_days * DAY_MS,
        )
