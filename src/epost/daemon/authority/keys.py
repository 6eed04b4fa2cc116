"""The authority's keys: root (may be under a passphrase), issuer, X.509 CA, enrolment listener."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from epost.crypto.keyfile import lock, unlock
from epost.crypto.signing import SigningKey
from epost.daemon.files import read_required, write_private
from epost.foundation.codec import Format, encode
from epost.foundation.errors import BadSeal, ConfigError, PeerError
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
    write_private(directory / ROOT_FILE, lock(encode(root), "root", None, entropy))
    write_private(directory / ISSUER_FILE, lock(encode(issuer), "issuer", None, entropy))
    return AuthorityKeys(root, issuer)


def load_issuer_keys(directory: Path) -> IssuerKeys:
    """Read the keys that enrolment needs; raises ConfigError."""
    path = directory / ISSUER_FILE
    data = read_required(path, REMEDY)
    try:
        return _ISSUER.decode(unlock(data, "issuer", None))
    except (BadSeal, PeerError) as error:
        raise ConfigError(f"{path}: {error}") from error


def load_root_keys(directory: Path, organisation_key: bytes) -> RootKeys:
    """Read the root key in force, which may have been taken offline; raises ConfigError."""
    paths = [p for p in (directory / ROOT_FILE, directory / NEXT_ROOT_FILE) if p.exists()]
    for path in paths:
        try:
            keys = _ROOT.decode(unlock(path.read_bytes(), "root", None))
        except (BadSeal, PeerError) as error:
            raise ConfigError(f"{path}: {error}") from error
        if SigningKey(keys.organisation).public == organisation_key:
            return keys
    raise ConfigError(
        f"{directory / ROOT_FILE} is not here. Bring the authority's root key back for this."
    )


def draw_root_keys(directory: Path, entropy: Entropy) -> RootKeys:
    """Draw the next root key and keep it beside the one in force."""
    keys = RootKeys(1, entropy.token(32), entropy.token(32))
    write_private(directory / NEXT_ROOT_FILE, lock(encode(keys), "root", None, entropy))
    return keys


def settle_root_keys(directory: Path) -> None:
    """Put the next root key, which is in force now, in place of the former one, which is kept."""
    (directory / ROOT_FILE).replace(directory / FORMER_ROOT_FILE)
    (directory / NEXT_ROOT_FILE).replace(directory / ROOT_FILE)
