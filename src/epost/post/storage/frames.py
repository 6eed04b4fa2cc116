"""One part or chunk of a message: laid out, then encrypted (crypto 5.1, 5.2).

frame = u8 codec, u64 raw length, u64 payload length, payload, zeros to a Padmé length.
block = format, suite, box of the frame. Which key was chosen, and why, is not in the block.
"""

from __future__ import annotations

import io
import struct
from enum import IntEnum

import zstandard

from epost.crypto.boxes import box, padme, unbox
from epost.crypto.hashing import keyed_digest
from epost.foundation.errors import BadSeal, LimitExceeded, MalformedPacket

CHUNK_BYTES = 1024 * 1024
SINGLE_FRAME_BYTES_MAX = 4 * 1024 * 1024
"""Longer plaintexts are cut into chunks of CHUNK_BYTES, listed by a manifest."""

_HEADER = struct.Struct(">BQQ")
_BLOCK_HEADER = b"\x01\x01"
_ZSTD_LEVEL = 3
_ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024


class Codec(IntEnum):
    """How the payload of a frame becomes the raw bytes."""

    RAW = 0
    ZSTD = 1
    MANIFEST = 2
    """The payload lists chunks; no user data can pose as it, since users do not choose codecs."""


def encode_frame(raw: bytes) -> bytes:
    """Frame raw bytes, compressed if that saves at least one part in twenty."""
    compressed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(raw)
    if len(compressed) * 20 <= len(raw) * 19:
        return _pad(Codec.ZSTD, len(raw), compressed)
    return _pad(Codec.RAW, len(raw), raw)


def encode_manifest_frame(manifest: bytes) -> bytes:
    """Frame an encoded manifest."""
    return _pad(Codec.MANIFEST, len(manifest), manifest)


def decode_frame(data: bytes) -> tuple[Codec, bytes]:
    """Return codec and raw bytes (or the encoded manifest).

    Raises MalformedPacket for anything that `encode_frame` cannot have made (but for the choice to
    compress), LimitExceeded for lengths out of bounds; never inflates more than is declared.
    """
    if len(data) < _HEADER.size:
        raise MalformedPacket("frame shorter than its header")
    code, raw_length, payload_length = _HEADER.unpack_from(data)
    payload = data[_HEADER.size : _HEADER.size + payload_length]
    padding = data[_HEADER.size + payload_length :]
    if len(payload) != payload_length or any(padding):
        raise MalformedPacket("frame is not padded with zeros")
    if len(data) != padme(_HEADER.size + payload_length):
        raise MalformedPacket("frame is not padded to its length")
    if raw_length > SINGLE_FRAME_BYTES_MAX:
        raise LimitExceeded(f"a frame of {raw_length} bytes")
    if code == Codec.ZSTD:
        return Codec.ZSTD, _inflate(payload, raw_length)
    if code not in {Codec.RAW, Codec.MANIFEST} or raw_length != payload_length:
        raise MalformedPacket("unknown codec, or a length that is not the payload's")
    return Codec(code), payload


def convergent_key(secret: bytes, framed: bytes) -> bytes:
    """Return the content key that everybody with `secret` derives from the same frame."""
    return keyed_digest(secret, "cvg", _BLOCK_HEADER, framed)


def seal_frame(content_key: bytes, framed: bytes) -> bytes:
    """Return the block to be stored; the key must serve this frame only."""
    return box(content_key, _BLOCK_HEADER, framed, header=_BLOCK_HEADER)


def open_frame(content_key: bytes, block: bytes) -> bytes:
    """Return the frame in a block; raises BadSeal."""
    if block[:2] != _BLOCK_HEADER:
        raise BadSeal("not a block of a known format and suite")
    return unbox(content_key, _BLOCK_HEADER, block[2:])


def _pad(codec: Codec, raw_length: int, payload: bytes) -> bytes:
    size = _HEADER.size + len(payload)
    header = _HEADER.pack(codec, raw_length, len(payload))
    return b"".join((header, payload, bytes(padme(size) - size)))


def _inflate(payload: bytes, raw_length: int) -> bytes:
    # One-shot decompression trusts the size that the frame declares (crypto E21), a stream not.
    source = io.BytesIO(payload)
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    try:
        # Reading across frames, trailing data is an error or makes the result too long.
        with decompressor.stream_reader(source, read_across_frames=True) as stream:
            raw = stream.read(raw_length + 1)
    except zstandard.ZstdError as error:
        raise MalformedPacket("not a zstd frame") from error
    if len(raw) != raw_length:
        raise MalformedPacket("compressed data of another length than declared")
    return raw
