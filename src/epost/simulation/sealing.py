"""The simulated Sealing: the sizes and the refusals of HPKE, the same bytes in every run of a seed.

Ids of pending notices and keyrings derive from sealed bytes, so a run can be replayed only if
sealing is deterministic. Whoever knows a public key can open what is sealed to it: it keeps no
secret from anybody who tries, and lives in the simulation only.
"""

from __future__ import annotations

import hashlib
import hmac

from epost.crypto.hashing import frame
from epost.crypto.sealing import OVERHEAD_BYTES, PUBLIC_KEY_BYTES
from epost.foundation.errors import BadSeal
from epost.foundation.ports import Entropy

TAG_BYTES = 16
ENCAPSULATION_BYTES = OVERHEAD_BYTES - TAG_BYTES


class SimulatedSealing:
    """The twin of `crypto.sealing.HpkeSealing`; what HPKE draws comes from the entropy port."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def public_key(self, seed: bytes) -> bytes:
        """Return the 1216 bytes that stand for the public key of a seed."""
        return hashlib.shake_256(b"simulated public key" + seed).digest(PUBLIC_KEY_BYTES)

    def seal(self, public_key: bytes, context: str, binding: bytes, plaintext: bytes) -> bytes:
        """Encrypt to a public key; raises BadSeal for one of the wrong size."""
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise BadSeal("a sealing key has 1216 bytes")
        encapsulation = self._entropy.token(ENCAPSULATION_BYTES)
        key = _shared_key(public_key, encapsulation, context, binding)
        ciphertext = _masked(key, plaintext)
        return encapsulation + ciphertext + _tag(key, ciphertext)

    def unseal(self, seed: bytes, context: str, binding: bytes, sealed: bytes) -> bytes:
        """Decrypt with a seed; raises BadSeal."""
        encapsulation = sealed[:ENCAPSULATION_BYTES]
        ciphertext, tag = sealed[ENCAPSULATION_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:]
        key = _shared_key(self.public_key(seed), encapsulation, context, binding)
        is_whole = len(sealed) >= OVERHEAD_BYTES
        if not is_whole or not hmac.compare_digest(tag, _tag(key, ciphertext)):
            raise BadSeal("the envelope does not open with this key")
        return _masked(key, ciphertext)


def _shared_key(public_key: bytes, encapsulation: bytes, context: str, binding: bytes) -> bytes:
    parts = frame("simulated seal/" + context, public_key, encapsulation, binding)
    return hashlib.sha256(parts).digest()


def _masked(key: bytes, text: bytes) -> bytes:
    mask = hashlib.shake_256(key).digest(len(text))
    return (int.from_bytes(text, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(text), "big")


def _tag(key: bytes, ciphertext: bytes) -> bytes:
    return hashlib.sha256(b"tag" + key + ciphertext).digest()[:TAG_BYTES]
