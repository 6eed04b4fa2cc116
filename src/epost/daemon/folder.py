"""The data folder of a node: which file is what, and reading them back with clear complaints.

config.toml (settings), node.key (unlocks unattended), membership (certificates, public),
device.keys and account blocks (users only), passwords, vault/, index.db, control/, tls/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from epost.crypto.keyfile import is_protected, lock, unlock
from epost.daemon.config import NodeConfig, load_config, render_config
from epost.daemon.files import read_required, replace_secret, write_private
from epost.foundation.codec import Format, encode
from epost.foundation.errors import BadSeal, ConfigError, PeerError
from epost.foundation.ids import U8
from epost.foundation.ports import Entropy
from epost.post.accounts.devices import DEVICE_SECRETS, DeviceSecrets

NODE_KEY = "node"
DEVICE_KEYS = "device"
PENDING_PREFIX = "enrolment-"
REMEDY = "Join an organisation: epost join INVITATION (or found one: epost org init)."
RECOVERY_REMEDY = (
    "This folder has lost its keys. A user's account is brought back with the 24 words, in an "
    "empty folder: have somebody who runs the organisation say epost invite --another-machine "
    "NAME, then epost recover INVITATION."
)
MEMBERSHIP_SIZE_MAX = 4 * 1024 * 1024


class FirstBlock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A block made at enrolment that the daemon must bring into the ring."""

    kind: U8
    data: bytes


class Membership(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything public that enrolment gave; `account` is empty for a storage-only node."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    organisation: bytes
    issuers: tuple[bytes, ...]
    node: bytes
    account: bytes
    x509_authorities: tuple[bytes, ...]
    x509_leaf: bytes
    root_block: bytes
    issuer_blocks: tuple[bytes, ...]
    first_blocks: tuple[FirstBlock, ...]


_MEMBERSHIP: Format[Membership] = Format(Membership, size_max=MEMBERSHIP_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """Paths and files of one node's folder."""

    path: Path

    @property
    def vault(self) -> Path:
        """Where the blocks lie."""
        return self.path / "vault"

    @property
    def deputy(self) -> Path:
        """Keys and log of a deputy of the authority, if this machine may be one."""
        return self.path / "deputy"

    @property
    def spool(self) -> Path:
        """Where large mails on their way wait, encrypted and without names: always empty."""
        return self.path / "spool"

    @property
    def index(self) -> Path:
        """The mail index: rebuilt from the log if it is deleted."""
        return self.path / "index.db"

    @property
    def is_enrolled(self) -> bool:
        """Has an enrolment been finished here? (The membership is written last.)"""
        return (self.path / "membership").exists()

    def require_enrolled(self) -> None:
        """Raise ConfigError, with what to do, for a folder that is not a member's."""
        if not self.is_enrolled:
            raise ConfigError(f"{self.path} is not the folder of a member. {REMEDY}")

    @property
    def is_users(self) -> bool:
        """Is this the node of a user, as far as the membership still says?"""
        return self.is_enrolled and bool(self.read_membership().account)

    def read_config(self) -> NodeConfig:
        """Return the settings; raises ConfigError."""
        return load_config(self.path / "config.toml")

    def write_config(self, config: NodeConfig) -> None:
        """Write the settings."""
        write_private(self.path / "config.toml", render_config(config).encode())

    def read_membership(self) -> Membership:
        """Return the certificates; raises ConfigError."""
        path = self.path / "membership"
        try:
            return _MEMBERSHIP.decode(read_required(path, REMEDY))
        except PeerError as error:
            raise ConfigError(f"{path}: damaged: {error}. {REMEDY}") from error

    def enrolments(self) -> Sequence[bytes]:
        """Return what enrolments have kept here."""
        return [path.read_bytes() for path in sorted(self.path.glob(PENDING_PREFIX + "*"))]

    def forget_enrolment(self) -> None:
        """Remove what an enrolment kept to repeat its request: it holds a recovery seed.

        Once its words were shown, or the machine is in use.
        """
        for pending in self.path.glob(PENDING_PREFIX + "*"):
            pending.unlink()

    def write_membership(self, membership: Membership) -> None:
        """Write the certificates: from now on this folder is enrolled."""
        write_private(self.path / "membership", encode(membership))

    def read_node_seed(self) -> bytes:
        """Return the seed of the node key, which unlocks without anybody; raises ConfigError."""
        return self._unlock("node.key", NODE_KEY, None, RECOVERY_REMEDY)

    def write_node_key(self, seed: bytes, entropy: Entropy) -> None:
        """Write the key, under no passphrase: a machine starts without anybody."""
        write_private(self.path / "node.key", lock(seed, NODE_KEY, None, entropy))

    def read_device_secrets(self, passphrase: str | None = None) -> DeviceSecrets:
        """Return the device's secrets; raises ConfigError."""
        secret = self._unlock("device.keys", DEVICE_KEYS, passphrase, RECOVERY_REMEDY)
        return DEVICE_SECRETS.decode(secret)

    def write_device_secrets(
        self, secrets: DeviceSecrets, entropy: Entropy, passphrase: str | None = None
    ) -> None:
        """Write the device's secrets, under a passphrase if there is one.

        What was there before is overwritten: it may hold keys that were destroyed.
        """
        data = lock(encode(secrets), DEVICE_KEYS, passphrase, entropy)
        replace_secret(self.path / "device.keys", data)

    def has_protected_keys(self) -> bool:
        """Are the device's secrets under a passphrase?"""
        path = self.path / "device.keys"
        return path.exists() and is_protected(path.read_bytes())

    def key_protection(self) -> str:
        """Say how the device's secrets are kept: `epost status` shows it."""
        path = self.path / "device.keys"
        if not path.exists():
            return "no user's keys on this node"
        protected = is_protected(path.read_bytes())
        return "under a passphrase" if protected else "unprotected (file mode 0600 only)"

    def _unlock(self, name: str, purpose: str, passphrase: str | None, remedy: str) -> bytes:
        path = self.path / name
        data = read_required(path, remedy)
        try:
            return unlock(data, purpose, passphrase)
        except (BadSeal, PeerError) as error:
            raise ConfigError(f"{path}: {error}. {remedy}") from error
