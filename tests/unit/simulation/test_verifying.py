"""Verifying once in a process what a hundred machines verify, and nothing but that."""

from __future__ import annotations

import nacl.bindings
import pytest

from epost.crypto.signing import Kind, SigningKey, verify
from epost.foundation.errors import BadSignature
from epost.simulation.verifying import verified_once

KEY, OTHER = SigningKey(bytes(32)), SigningKey(bytes([1]) * 32)


def test_a_verification_is_remembered_for_exactly_its_key_message_and_signature() -> None:
    signature = KEY.sign(Kind.HEAD, b"body")
    changed = signature[:-1] + bytes([signature[-1] ^ 1])
    with verified_once():
        verify(KEY.public, Kind.HEAD, b"body", signature)
        verify(KEY.public, Kind.HEAD, b"body", signature)
        for key, kind, body, offered in (
            (OTHER.public, Kind.HEAD, b"body", signature),
            (KEY.public, Kind.NODE, b"body", signature),
            (KEY.public, Kind.HEAD, b"other", signature),
            (KEY.public, Kind.HEAD, b"body", changed),
        ):
            for _ in range(2):
                with pytest.raises(BadSignature):
                    verify(key, kind, body, offered)


def test_outside_of_a_run_nothing_is_remembered() -> None:
    genuine = nacl.bindings.crypto_sign_open
    with verified_once():
        assert nacl.bindings.crypto_sign_open is not genuine
    assert nacl.bindings.crypto_sign_open is genuine
