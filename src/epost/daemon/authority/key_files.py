"""Files of keys that an issuing daemon needs by itself: nothing but their mode protects them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from epost.crypto.keyfile import lock, unlock
from epost.daemon.files import read_required, write_private
from epost.foundation.codec import Format, encode
from epost.foundation.errors import BadSeal, ConfigError, PeerError
from epost.foundation.ports import Entropy

K = TypeVar("K")


def write_keys(path: Path, purpose: str, keys: msgspec.Struct, entropy: Entropy) -> None:
    """Write keys so that they are read for this purpose only."""
    write_private(path, lock(encode(keys), purpose, None, entropy))


def read_keys(path: Path, purpose: str, kind: Format[K], remedy: str) -> K:
    """Read them; raises ConfigError, with the remedy if the file is not there."""
    data = read_required(path, remedy)
    try:
        return kind.decode(unlock(data, purpose, None))
    except (BadSeal, PeerError) as error:
        raise ConfigError(f"{path}: {error}") from error
