"""Public-key blocks: only the key's owner writes them, and versions only grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epost.crypto.signed import sign
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import (
    NO_PREVIOUS,
    KeyBlockBody,
    key_block_handle,
    make_key_block,
    open_key_block,
)
from epost.foundation.codec import encode
from epost.foundation.errors import BadSignature, EpostError, MalformedPacket
from epost.foundation.ids import BlockKind

KEY, OTHER = SigningKey(b"a" * 32), SigningKey(b"b" * 32)
RING = b"r" * 20


def block(previous=None, content=b"content"):
    return make_key_block(
        KEY, Kind.HEAD, ring=RING, previous=previous, issued_at=5, content=content
    )


def test_versions_count_and_chain() -> None:
    first = block()
    second = block(previous=first)
    assert (first.body.version, second.body.version) == (1, 2)
    assert first.body.previous == NO_PREVIOUS
    assert second.body.previous == first.body_hash
    assert first.order < second.order
    assert open_key_block(second.data, expected=key_block_handle(KEY.public)) == second


def test_the_handle_is_the_key_s() -> None:
    made = block()
    assert made.handle.kind is BlockKind.KEY
    assert made.purpose is Kind.HEAD
    with pytest.raises(MalformedPacket, match="another key"):
        open_key_block(made.data, expected=key_block_handle(OTHER.public))


def test_that_one_was_verified_vouches_for_no_other_octets_and_no_other_key() -> None:
    made = block(content=b"remembered").data
    assert open_key_block(made) is open_key_block(bytes(bytearray(made)))
    with pytest.raises(MalformedPacket, match="another key"):
        open_key_block(made, expected=key_block_handle(OTHER.public))
    for at in (len(made) - 1, made.index(b"remembered")):
        changed = bytearray(made)
        changed[at] ^= 1
        with pytest.raises(BadSignature):
            open_key_block(bytes(changed))


def test_nobody_else_can_sign_it_and_no_other_purpose() -> None:
    body = encode(KeyBlockBody(1, int(Kind.HEAD), RING, KEY.public, 1, NO_PREVIOUS, 5, b""))
    with pytest.raises(BadSignature):
        open_key_block(sign(OTHER, Kind.HEAD, body))
    with pytest.raises(MalformedPacket, match="says another"):
        open_key_block(sign(KEY, Kind.IDENTITY, body))
    with pytest.raises(MalformedPacket, match="not a purpose"):
        open_key_block(sign(KEY, Kind.NOTICE, body))
    with pytest.raises(MalformedPacket, match="too large"):
        open_key_block(bytes(70_000))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_never_a_block(data: bytes) -> None:
    with pytest.raises(EpostError):
        open_key_block(data)
