"""A deputy of the authority: renews certificates while the authority's own daemon is off.

It issues under a key of its own, which the root appoints, and enters what it issues in a log of its
own, so the certified logs cannot fork. It has no register of the members: the request carries what
is to be renewed, and the ring says who was revoked. It renews names and keys that are certified
already and nothing else; who may join, who is out, and how much she may store is the authority's.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from epost.crypto.certificates import AccountCert, IssuerCert, NodeCert, certify
from epost.crypto.signing import SigningKey
from epost.daemon.authority.certified_log import CertifiedLog
from epost.daemon.authority.key_files import read_keys, write_keys
from epost.daemon.authority.log_publication import LogPublication
from epost.daemon.authority.register import REGISTER_FILE, Register
from epost.daemon.authority.renewing import CLOCKS_APART_MS
from epost.daemon.authority.world import World
from epost.daemon.files import make_private_folder
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import Bytes32
from epost.foundation.ports import Entropy
from epost.rings.appointment import Appointment
from epost.rings.issuers import Issuers
from epost.rings.policy import Lifetimes
from epost.rings.renewal import FullRequest, Granted, account_due_ms, node_due_ms, open_asked

KEYS_FILE = "deputy.key"
_PURPOSE = "deputy"
REMEDY = "Make this machine one that may be appointed: epost org deputy"


class DeputyKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Seeds of the key that certifies and of the one that signs its log; never to be logged."""

    format: int
    issuer: Bytes32
    certified_log: Bytes32

    def __repr__(self) -> str:
        return "DeputyKeys(...)"

    @property
    def appointment(self) -> Appointment:
        """What is shown to whoever appoints."""
        log_key = SigningKey(self.certified_log).public
        return Appointment(SigningKey(self.issuer).public, log_key)


_KEYS: Format[DeputyKeys] = Format(DeputyKeys, size_max=1024)


def deputy_keys(directory: Path, entropy: Entropy) -> DeputyKeys:
    """Return the keys of a machine that is or may be appointed, drawn at the first time."""
    path = make_private_folder(directory) / KEYS_FILE
    if not path.exists():
        keys = DeputyKeys(1, entropy.token(32), entropy.token(32))
        write_keys(path, _PURPOSE, keys, entropy)
    return read_keys(path, _PURPOSE, _KEYS, REMEDY)


class Deputy:
    """One deputy at work, on its folder; `issuers` is what its node knows of the authority."""

    def __init__(self, directory: Path, issuers: Issuers, world: World) -> None:
        """Raises ConfigError."""
        self._keys = read_keys(directory / KEYS_FILE, _PURPOSE, _KEYS, REMEDY)
        self._key = SigningKey(self._keys.issuer)
        self._issuers = issuers
        self._world = world
        self._register = Register(directory / REGISTER_FILE)
        self._entries = CertifiedLog(self._register, self._keys.certified_log, world.entropy)
        ring = issuers.trust.ring
        self.log = LogPublication(self._register, self._keys.certified_log, ring, world)

    def close(self) -> None:
        """Close the log."""
        self._register.close()

    @property
    def certificate(self) -> IssuerCert | None:
        """Its own, None unless it is appointed now."""
        now = self._world.clock.wall_ms()
        for issuer in self._issuers.active_issuers():
            if issuer.issuer_key == self._key.public and issuer.not_before <= now:
                return issuer if now < issuer.not_after else None
        return None

    def renew(self, request: bytes) -> bytes | None:
        """Answer a machine; None for what is the authority's to judge, or that nobody needs now.

        Raises PeerError, AuthenticityError, NotPermitted for what nobody in the ring signed.
        """
        now = self._world.clock.wall_ms()
        asked = open_asked(request, self._issuers.trust, now)
        mine = self.certificate
        if mine is None or asked.whole is None or self._issuers.is_node_revoked(asked.node):
            return None
        account = self._account_in_force(asked.whole, now)
        if asked.whole.account and account is None:
            return None
        is_node_due = now + CLOCKS_APART_MS >= node_due_ms(asked.node)
        is_account_due = account is not None and now + CLOCKS_APART_MS >= account_due_ms(account)
        if not is_node_due and not is_account_due:
            return None
        with self._register.transaction():
            node = self._renewed_node(asked.node, mine, now)
            data = asked.whole.account
            if account is not None and is_account_due:
                data = self._renewed_account(account, mine, now)
        return encode(Granted(node, data, asked.whole.x509_authorities, asked.whole.x509_leaf))

    def _account_in_force(self, asked: FullRequest, now: int) -> AccountCert | None:
        if not asked.account:
            return None
        account = self._issuers.trust.verify_account(asked.account, now)
        is_out = self._issuers.is_account_revoked(asked.account, account)
        return None if is_out or self._issuers.is_key_succeeded(account) else account

    def _renewed_node(self, present: NodeCert, mine: IssuerCert, now: int) -> bytes:
        lifetimes = self._lifetimes
        renewed = msgspec.structs.replace(
            present,
            issuer=mine.serial,
            log_sequence=self._entries.enter(present.node_id, present.node_key),
            not_before=now,
            soft_expiry=now + lifetimes.node_soft_days * DAY_MS,
            not_after=now + lifetimes.node_days * DAY_MS,
        )
        return certify(self._key, renewed)

    def _renewed_account(self, present: AccountCert, mine: IssuerCert, now: int) -> bytes:
        renewed = msgspec.structs.replace(
            present,
            issuer=mine.serial,
            version=present.version + 1,
            log_sequence=self._entries.enter(present.name.encode(), present.account_key),
            not_before=now,
            not_after=now + self._lifetimes.account_days * DAY_MS,
        )
        return certify(self._key, renewed)

    @property
    def _lifetimes(self) -> Lifetimes:
        return self._issuers.policy.lifetimes
