"""An account's keys and a device's secrets (crypto 2); how both come into being.

The account key is derived from the recovery phrase and signs only at enrolment and when devices
change; no daemon holds it. A device's keys are random, its own, and revocable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    V1,
    AccountCert,
    DeviceCert,
    account_id_of,
    recall_device,
)
from epost.crypto.hashing import derive, u32
from epost.crypto.sealing import key_id
from epost.crypto.signing import SigningKey
from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import Format
from epost.foundation.ids import U8, U63, AccountId, Bytes16, Bytes32
from epost.foundation.ports import Entropy, Sealing
from epost.post.accounts.blocks import Prekey
from epost.post.accounts.keyring import DataKeys, EpochSecret

SEED_BYTES = 32
PREKEYS_KEPT_MAX = 1000
"""Private prekeys; one a week, so this bounds twenty years of an unattended device."""
ORGANISATION_SECRETS_MAX = 8
LOG_DATA_KEYS_REMEMBERED = 64
"""Asked for at each record of a log, and there are few: of each device, in each epoch."""


class AccountKeys:
    """What the 32-byte recovery seed (24 words) gives; held only while it is typed or drawn.

    An account that changes its keys has other words then, so a phrase has one account key; whose
    it is, and as which in a row, says the certificate.
    """

    def __init__(
        self, seed: bytes, *, account_id: AccountId | None = None, generation: int = 0
    ) -> None:
        """Without `account_id` these are the first keys of an account, which give it its id."""
        assert len(seed) == SEED_BYTES, "a recovery seed has 32 bytes"
        self._seed = seed
        self.generation = generation
        self.account = SigningKey(derive(seed, "key/account", u32(0)).key)
        self.recovery = SigningKey(derive(seed, "key/recovery-sign").key)
        self.recovery_sealing_seed = derive(seed, "key/recovery-seal").key
        self.account_id = account_id or account_id_of(self.account.public)

    def of(self, account: AccountCert) -> AccountKeys:
        """Return the keys as those of an account whose certificate was verified to name them."""
        assert account.account_key == self.account.public, "a certificate of other keys"
        return AccountKeys(
            self._seed, account_id=AccountId(account.account_id), generation=account.generation
        )

    def followed_by(self, seed: bytes) -> AccountKeys:
        """Return the keys of another phrase, as those that follow these in the account."""
        return AccountKeys(seed, account_id=self.account_id, generation=self.generation + 1)


@dataclass(frozen=True, slots=True)
class Signing:
    """What an owner signs a change of her account with."""

    keys: AccountKeys = field(repr=False)
    now_ms: int
    sealing: Sealing
    entropy: Entropy


class PrekeySecret(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The private half of a sealing prekey and when it was made, in milliseconds."""

    seed: Bytes32
    created_at: U63


class DeviceSecrets(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything a device must keep to itself; the daemon stores it encrypted.

    `incarnation` names the first incarnation of its log; later ones are in the log's own notes.
    Epochs ascend, prekeys ascend by age.
    """

    format: V1
    account_id: Bytes32
    number: U8
    signing_seed: Bytes32
    sealing_seed: Bytes32
    log_seed: Bytes32
    incarnation: Bytes16
    certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]
    recovery_sealing_key: bytes
    prekeys: Annotated[
        tuple[PrekeySecret, ...], msgspec.Meta(min_length=1, max_length=PREKEYS_KEPT_MAX)
    ]
    data_keys: DataKeys
    organisation_secrets: Annotated[
        tuple[EpochSecret, ...], msgspec.Meta(max_length=ORGANISATION_SECRETS_MAX)
    ]

    def __repr__(self) -> str:
        return f"DeviceSecrets(number={self.number})"


DEVICE_SECRETS: Format[DeviceSecrets] = Format(DeviceSecrets, size_max=512 * 1024)


class SecretStore(Protocol):
    """Where the device's secrets are kept, encrypted."""

    async def save(self, secrets: DeviceSecrets) -> None:
        """Return when the secrets are on disk."""


class Device:
    """This device at work: its keys, ready for use."""

    def __init__(
        self,
        secrets: DeviceSecrets,
        *,
        account_certificate: bytes,
        sealing: Sealing,
        secret_epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        """`account_certificate` is the newest that the authority issued; replace on renewal.

        `secret_epoch` tells which epoch of the organisation's secret is in force.
        """
        self.account_certificate = account_certificate
        self._secret_epoch = secret_epoch
        self._sealing = sealing
        self._secrets = secrets
        self._prekeys: dict[bytes, bytes] = {}
        self._log_data_keys: BoundedDict[tuple[bytes, int], bytes] = BoundedDict(
            LOG_DATA_KEYS_REMEMBERED
        )
        self.signing = SigningKey(secrets.signing_seed)
        self._changing = asyncio.Lock()
        self.use(secrets)

    async def change(
        self, store: SecretStore, changed: Callable[[DeviceSecrets], DeviceSecrets]
    ) -> None:
        """Go on with changed secrets (a new prekey, a new epoch), once they are durable."""
        async with self._changing:
            secrets = changed(self._secrets)
            await store.save(secrets)
            self.use(secrets)

    async def follow_key(
        self, store: SecretStore, certificate: bytes, recovery_key: bytes, account: bytes
    ) -> None:
        """Sign under another key of the account from now on, once this is durable.

        `certificate` is this device's under that key, `account` the account's; `recovery_key` is
        the one to which backups are sealed.
        """
        await self.change(
            store,
            lambda secrets: msgspec.structs.replace(
                secrets, certificate=certificate, recovery_sealing_key=recovery_key
            ),
        )
        self.account_certificate = account  # nothing else has run since the secrets were changed

    def use(self, secrets: DeviceSecrets) -> None:
        """Go on with secrets that are durable already."""
        self._secrets = secrets
        self._log_data_keys.clear()
        self.certificate: DeviceCert = recall_device(secrets.certificate)
        assert self.certificate.device_key == self.signing.public, "the certificate of another key"
        known = {seed: name for name, seed in self._prekeys.items()}
        self._prekeys = {
            known.get(p.seed) or key_id(self._sealing.public_key(p.seed)): p.seed
            for p in secrets.prekeys
        }

    @property
    def secrets(self) -> DeviceSecrets:
        """What the daemon stores."""
        return self._secrets

    @property
    def account_id(self) -> AccountId:
        """Whose device it is."""
        return AccountId(self._secrets.account_id)

    @property
    def number(self) -> int:
        """Which of the account's devices it is."""
        return self._secrets.number

    @property
    def account_data_epoch(self) -> int:
        """The newest epoch of the account's data key."""
        return self._secrets.data_keys[-1].epoch

    @property
    def account_data_key(self) -> bytes:
        """The newest of the account's data keys."""
        return self._secrets.data_keys[-1].secret

    @property
    def organisation_epoch(self) -> int:
        """The newest epoch of the organisation's secret that it has, 0 for none."""
        known = self._secrets.organisation_secrets
        return known[-1].epoch if known else 0

    @property
    def organisation_secret(self) -> bytes | None:
        """The organisation's secret in force; None while this device has none, or a former one."""
        is_former = self.organisation_epoch < self._secret_epoch()
        known = self._secrets.organisation_secrets
        return known[-1].secret if known and not is_former else None

    @property
    def notes_secret(self) -> bytes:
        """The key under which this device keeps private notes in its vault."""
        return derive(self._secrets.log_seed, "key/notes").key

    def log_key(self, incarnation: bytes) -> SigningKey:
        """Return the key of one incarnation of this device's log."""
        return SigningKey(derive(self._secrets.log_seed, "key/log", b"device", incarnation).key)

    def log_data_key(self, log_key: bytes, epoch: int) -> bytes | None:
        """Return the key that encrypts a log's records in an epoch, None for unknown epochs."""
        if (known := self._log_data_keys.get((log_key, epoch))) is not None:
            return known
        for data_key in reversed(self._secrets.data_keys):
            if data_key.epoch == epoch:
                key = derive(data_key.secret, "key/log-data", log_key).key
                self._log_data_keys.put((log_key, epoch), key)
                return key
        return None

    @property
    def sealing_key(self) -> bytes:
        """The public key to which the account's keyring is sealed for this device."""
        return self._sealing.public_key(self._secrets.sealing_seed)

    def prekey_seed(self, wanted: bytes) -> bytes | None:
        """Return the private half of the prekey with this id, if it is ours."""
        return self._prekeys.get(wanted)

    def published_prekeys(self, at_most: int) -> tuple[Prekey, ...]:
        """Return the newest prekeys as the device block lists them, oldest first."""
        return tuple(
            make_prekey(prekey, self._sealing) for prekey in self._secrets.prekeys[-at_most:]
        )


def make_prekey(prekey: PrekeySecret, sealing: Sealing) -> Prekey:
    """Return the public half of a prekey."""
    public_key = sealing.public_key(prekey.seed)
    return Prekey(key_id(public_key), public_key, prekey.created_at)


def with_new_prekey(secrets: DeviceSecrets, seed: bytes, now_ms: int) -> DeviceSecrets:
    """Return the secrets with one more prekey; the oldest go beyond PREKEYS_KEPT_MAX."""
    prekeys = (*secrets.prekeys, PrekeySecret(seed, now_ms))[-PREKEYS_KEPT_MAX:]
    return msgspec.structs.replace(secrets, prekeys=prekeys)


def with_organisation_secret(secrets: DeviceSecrets, given: EpochSecret) -> DeviceSecrets:
    """Return the secrets with the organisation's of a new epoch in place of all former ones.

    Those read nothing, since references carry their keys, and would only test what is stored.
    """
    return msgspec.structs.replace(secrets, organisation_secrets=(given,))
