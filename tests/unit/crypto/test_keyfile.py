"""Secrets at rest."""

import pytest

from epost.crypto.keyfile import is_protected, lock, unlock
from epost.foundation.errors import BadSeal, PeerError


class CountingEntropy:
    """The same bytes every time: enough where only the form is tested."""

    def token(self, size: int) -> bytes:
        return b"e" * size


ENTROPY = CountingEntropy()


def test_a_protected_file_opens_with_its_passphrase_only() -> None:
    data = lock(b"secret seed", "device", "correct horse", ENTROPY)
    assert b"secret seed" not in data
    assert is_protected(data)
    assert unlock(data, "device", "correct horse") == b"secret seed"
    for wrong in ("wrong horse", None):
        with pytest.raises(BadSeal):
            unlock(data, "device", wrong)
    with pytest.raises(BadSeal):
        unlock(data[:-1] + bytes([data[-1] ^ 1]), "device", "correct horse")


def test_a_file_for_one_purpose_does_not_serve_another() -> None:
    data = lock(b"seed", "node", None, ENTROPY)
    assert not is_protected(data)
    assert unlock(data, "node", None) == b"seed"
    with pytest.raises(BadSeal, match="not for 'root'"):
        unlock(data, "root", None)
    with pytest.raises(PeerError):
        unlock(b"garbage", "node", None)
