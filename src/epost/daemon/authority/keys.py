"""The authority's keys: root (may be under a passphrase), issuer, X.509 CA, enrolment listener."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from epost.crypto.signing import SigningKey
from epost.daemon.authority.key_files import read_keys, write_keys
from epost.foundation.codec import Format
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Bytes32
from epost.foundation.ports import Entropy

ROOT_FILE = "root.key"
NEXT_ROOT_FILE = "root.key.next"
FORMER_ROOT_FILE = "root.key.former"
ISSUER_FILE = "issuer.key"
REMEDY = "Found an organisation first: epost org init DOMAIN --user NAME"


class RootKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Seeds that can be taken offline after founding: the root, and the escrow key."""

    format: int
    organisation: Bytes32
    escrow: Bytes32


class IssuerKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Seeds that enrolment needs: issuer, its log, X.509 CA, listener, organisation secret."""

    format: int
    issuer: Bytes32
    certified_log: Bytes32
    x509: Bytes32
    enrolment: Bytes32
    organisation_secret: Bytes32


_ROOT_PURPOSE = "root"
_ISSUER_PURPOSE = "issuer"
_ROOT: Format[RootKeys] = Format(RootKeys, size_max=1024)
_ISSUER: Format[IssuerKeys] = Format(IssuerKeys, size_max=1024)


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """All seeds of an authority; a value that must never be logged."""

    root: RootKeys
    issuer: IssuerKeys

    def __repr__(self) -> str:
        return "AuthorityKeys(...)"


def make_keys(directory: Path, entropy: Entropy) -> AuthorityKeys:
    """Draw and store the keys of a new authority."""

    def draw() -> bytes:
        return entropy.token(32)

    root = RootKeys(1, draw(), draw())
    issuer = IssuerKeys(1, draw(), draw(), draw(), draw(), draw())
    write_keys(directory / ROOT_FILE, _ROOT_PURPOSE, root, entropy)
    write_keys(directory / ISSUER_FILE, _ISSUER_PURPOSE, issuer, entropy)
    return AuthorityKeys(root, issuer)


def load_issuer_keys(directory: Path) -> IssuerKeys:
    """Read the keys that enrolment needs; raises ConfigError."""
    return read_keys(directory / ISSUER_FILE, _ISSUER_PURPOSE, _ISSUER, REMEDY)


def load_root_keys(directory: Path, organisation_key: bytes) -> RootKeys:
    """Read the root key in force, which may have been taken offline; raises ConfigError."""
    paths = [p for p in (directory / ROOT_FILE, directory / NEXT_ROOT_FILE) if p.exists()]
    for path in paths:
        keys = read_keys(path, _ROOT_PURPOSE, _ROOT, REMEDY)
        if SigningKey(keys.organisation).public == organisation_key:
            return keys
    raise ConfigError(
        f"{directory / ROOT_FILE} is not here. Bring the authority's root key back for this."
    )


def draw_root_keys(directory: Path, entropy: Entropy) -> RootKeys:
    """Draw the next root key and keep it beside the one in force."""
    keys = RootKeys(1, entropy.token(32), entropy.token(32))
    write_keys(directory / NEXT_ROOT_FILE, _ROOT_PURPOSE, keys, entropy)
    return keys


def settle_root_keys(directory: Path) -> None:
    """Put the next root key, which is in force now, in place of the former one, which is kept."""
    (directory / ROOT_FILE).replace(directory / FORMER_ROOT_FILE)
    (directory / NEXT_ROOT_FILE).replace(directory / ROOT_FILE)
