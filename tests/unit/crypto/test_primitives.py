"""Hashing, boxes, signatures, seals: the formats that everything else stands on."""

import contextlib
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from epost.crypto.boxes import box, pad, padme, unbox, unpad
from epost.crypto.hashing import (
    STREAMED_BYTES_MIN,
    derive,
    digest,
    frame,
    keyed_digest,
    tagged,
)
from epost.crypto.sealing import HpkeSealing, key_id
from epost.crypto.signed import open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey, is_valid_public_key, verify
from epost.foundation.codec import Format, encode
from epost.foundation.errors import BadSeal, BadSignature, LimitExceeded, MalformedPacket
from epost.foundation.ids import Address

SMALL_ORDER_KEYS = [
    bytes(32),
    b"\x01" + bytes(31),
    b"\xec" + b"\xff" * 30 + b"\x7f",
    bytes(31) + b"\x80",
    b"\x01" + bytes(30) + b"\x80",
    b"\xec" + b"\xff" * 31,
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    b"\xed" + b"\xff" * 30 + b"\x7f",
    b"\xed" + b"\xff" * 31,
    b"\xee" + b"\xff" * 30 + b"\x7f",
    b"\xee" + b"\xff" * 31,
]


def test_the_frame_is_unambiguous_about_where_parts_end() -> None:
    assert frame("a", b"bc") != frame("a", b"b", b"c") != frame("ab", b"c")
    assert digest("x", b"1") != digest("y", b"1")


@pytest.mark.parametrize("size", [0, STREAMED_BYTES_MIN - 1, STREAMED_BYTES_MIN])
def test_long_parts_are_hashed_as_short_ones_are(size: int) -> None:
    parts = (b"first", bytes(size))
    framed = tagged("x", *parts)
    assert digest("x", *parts) == hashlib.sha256(framed).digest()
    assert keyed_digest(b"key", "x", *parts) == hmac.digest(b"key", framed, "sha256")


def test_the_derivation_has_its_published_vector() -> None:
    assert derive(bytes(32), "cvg/org").key.hex() == (
        "2d6a5fec4ed086747080f7fc429626fa1d38744b537c0ffc0e71a384762d9691"
    )


@given(st.binary(max_size=5000), st.binary(max_size=50), st.binary(min_size=32, max_size=32))
def test_a_box_opens_with_its_key_and_associated_data_only(
    plaintext: bytes, associated: bytes, key: bytes
) -> None:
    boxed = box(key, associated, plaintext)
    assert unbox(key, associated, boxed) == plaintext
    for wrong in (
        lambda: unbox(hashlib.sha256(key).digest(), associated, boxed),
        lambda: unbox(key, associated + b"x", boxed),
        lambda: unbox(key, associated, boxed[:-1] + bytes([boxed[-1] ^ 1])),
        lambda: unbox(key, associated, boxed[:40]),
    ):
        with pytest.raises(BadSeal):
            wrong()


def test_sec_04_a_ciphertext_that_opens_under_two_keys_fails_the_commitment() -> None:
    # The naive scheme: AES-GCM alone with a constant nonce. GHASH is linear, so one block of
    # slack makes a tag valid under two keys: the attack works there, and not on our box.
    first, second = derive(b"1" * 32, "box"), derive(b"2" * 32, "box")
    ciphertext = _ciphertext_valid_under(first.key, second.key, length_blocks=4)
    for key in (first.key, second.key):
        assert AESGCM(key).decrypt(bytes(12), ciphertext, b"") is not None
    boxed = first.commitment + ciphertext
    with pytest.raises(BadSeal, match="not made with this key"):
        unbox(b"2" * 32, b"", boxed)


def _ciphertext_valid_under(key_1: bytes, key_2: bytes, *, length_blocks: int) -> bytes:
    """Solve for the one free ciphertext block that gives the same GCM tag under both keys."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    def aes(key: bytes, block: bytes) -> int:
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        return int.from_bytes(encryptor.update(block), "big")

    blocks = [i * 0x0123456789ABCDEF for i in range(1, length_blocks + 1)]
    lengths = length_blocks * 128
    sums = []
    for key in (key_1, key_2):
        h = aes(key, bytes(16))
        powers = [h]
        for _ in range(length_blocks + 1):
            powers.append(_multiply(powers[-1], h))
        # tag = E(J0) + len*H + c_n*H^2 + ... + c_1*H^(n+1); block 1 (index 0) is the free one
        rest = aes(key, bytes(11) + b"\0\0\0\0\1"[:5]) ^ _multiply(lengths, powers[0])
        for position, value in enumerate(blocks):
            if position:
                rest ^= _multiply(value, powers[length_blocks - position])
        sums.append((rest, powers[length_blocks]))
    (rest_1, power_1), (rest_2, power_2) = sums
    free = _multiply(rest_1 ^ rest_2, _inverse(power_1 ^ power_2))
    blocks[0] = free
    tag = rest_1 ^ _multiply(free, power_1)
    return b"".join(b.to_bytes(16, "big") for b in (*blocks, tag))


def _multiply(x: int, y: int) -> int:
    z, v = 0, x
    for i in range(127, -1, -1):
        if (y >> i) & 1:
            z ^= v
        v = (v >> 1) ^ (0xE1 << 120 if v & 1 else 0)
    return z


def _inverse(x: int) -> int:
    result, power = 1 << 127, x
    for i in range(128):
        if i:
            result = _multiply(result, power)
        power = _multiply(power, power)
    return result


@given(st.binary(max_size=3000))
def test_padding_hides_lengths_and_comes_off_exactly(plaintext: bytes) -> None:
    padded = pad(plaintext)
    assert unpad(padded) == plaintext
    assert len(padded) == padme(len(plaintext) + 4) >= 256
    assert len(padded) <= 1.12 * max(len(plaintext) + 4, 256)
    with pytest.raises(BadSeal):
        unpad(padded[:-1] + b"\1")


@pytest.mark.parametrize("key", SMALL_ORDER_KEYS, ids=range(len(SMALL_ORDER_KEYS)))
def test_sec_01_small_order_keys_are_no_keys(key: bytes) -> None:
    assert not is_valid_public_key(key)
    with pytest.raises(BadSignature):
        verify(key, Kind.NOTICE, b"any message", key + bytes(32))


def test_sec_02_a_signature_of_one_context_verifies_in_no_other() -> None:
    key = SigningKey(b"k" * 32)
    for kind in Kind:
        signature = key.sign(kind, b"body")
        verify(key.public, kind, b"body", signature)
        for other in set(Kind) - {kind}:
            with pytest.raises(BadSignature):
                verify(key.public, other, b"body", signature)


def test_contexts_are_the_published_words() -> None:
    assert Kind.ENROL_ACCOUNT.context == "enrol/account"
    assert len({kind.context for kind in Kind}) == len(Kind) == 31


BODY: Format[Address] = Format(Address, size_max=1000)


def test_a_signed_object_is_verified_before_it_is_decoded() -> None:
    key = SigningKey(b"k" * 32)
    data = sign(key, Kind.TICKET, encode(Address("h", 1)))
    assert open_signed(data, Kind.TICKET, key.public, BODY) == Address("h", 1)
    with pytest.raises(MalformedPacket, match="expected a signed stored"):
        parse(data, Kind.STORED)
    with pytest.raises(BadSignature):
        open_signed(data, Kind.TICKET, SigningKey(b"o" * 32).public, BODY)
    with pytest.raises(LimitExceeded):
        parse(data + bytes(300_000), Kind.TICKET)


def test_sec_03_bytes_that_do_not_re_encode_to_themselves_are_refused() -> None:
    canonical = encode(Address("host", 25))
    assert BODY.decode(canonical) == Address("host", 25)
    long_integer = canonical[:-1] + b"\xcd\x00\x19"
    for bad in (long_integer, canonical + b"\0", b"", b"\x93\xa1h\x01\x02", b"\xff"):
        with pytest.raises(MalformedPacket):
            BODY.decode(bad)


@given(st.binary(max_size=200))
def test_sec_03_arbitrary_bytes_decode_to_themselves_or_not_at_all(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        assert encode(BODY.decode(data)) == data


def test_a_sealed_secret_opens_for_the_holder_under_the_same_context_only() -> None:
    sealing = HpkeSealing()
    seed = b"s" * 32
    sealed = sealing.seal(sealing.public_key(seed), "notice", b"bound", b"secret")
    assert len(sealed) == len(b"secret") + 1136
    assert sealing.unseal(seed, "notice", b"bound", sealed) == b"secret"
    for attempt in (
        lambda: sealing.unseal(b"t" * 32, "notice", b"bound", sealed),
        lambda: sealing.unseal(seed, "keyring", b"bound", sealed),
        lambda: sealing.unseal(seed, "notice", b"other", sealed),
        lambda: sealing.unseal(seed, "notice", b"bound", sealed[:-1]),
        lambda: sealing.seal(bytes(1216), "notice", b"", b""),
        lambda: sealing.seal(b"short", "notice", b"", b""),
    ):
        with pytest.raises(BadSeal):
            attempt()


def test_the_sealing_key_is_the_x_wing_draft_s_first_vector() -> None:
    seed = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    public = HpkeSealing().public_key(seed)
    assert public.hex().startswith("e2236b35")
    assert len(key_id(public)) == 8
