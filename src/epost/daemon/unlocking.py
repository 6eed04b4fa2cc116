"""Where the passphrase of the device's keys comes from: a systemd credential, or the terminal."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from epost.daemon.folder import NodeFolder
from epost.foundation.errors import ConfigError
from epost.foundation.ports import Entropy

CREDENTIAL = "epost.passphrase"


def passphrase_for(folder: NodeFolder) -> str | None:
    """Return what opens device.keys, None if it is not under a passphrase; raises ConfigError."""
    if not folder.has_protected_keys():
        return None
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(directory, CREDENTIAL) if directory else None
    if credential is not None and credential.exists():
        return credential.read_text().rstrip("\n")
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass("Passphrase of this device's keys: ")
    raise ConfigError(
        f"{folder.path}: the device's keys are under a passphrase. Start the daemon from a "
        f"terminal, or give it as the systemd credential {CREDENTIAL} (see packaging/systemd)."
    )


def protect(folder: NodeFolder, passphrase: str, entropy: Entropy) -> None:
    """Put the device's keys under a passphrase (an empty one takes it off); raises ConfigError."""
    secrets = folder.read_device_secrets(passphrase_for(folder))
    folder.write_device_secrets(secrets, entropy, passphrase or None)
