"""Secure single-copy message storage (POST 3.2; crypto 5): encrypt, store at the hash, remember.

A plaintext that this account stored before is never stored again: its reference is remembered, so
that forwarding a mail or keeping a copy in Sent costs nothing in any mode.

Long ones are stored and read chunk by chunk, a few at a time: however long they are, and however
many are on their way, the same amount of memory holds them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, assert_never

import msgspec

from epost.crypto.certificates import V1
from epost.crypto.hashing import derive, digest
from epost.foundation.codec import Format, encode
from epost.foundation.errors import (
    HashMismatch,
    MalformedPacket,
    MessageTooLarge,
    NoSuchBlock,
    RefusedError,
)
from epost.foundation.ids import U63, BlockKind, Bytes32, Handle
from epost.foundation.octets import WINDOW_BYTES, Octets, windows
from epost.foundation.ports import Entropy
from epost.past.durability import Durability
from epost.past.space.placement import PLACES_TRIED_MAX
from epost.post.accounts.devices import Device
from epost.post.config import PostConfig
from epost.post.parallel import in_parallel, read_ahead
from epost.post.ports import BlockStore, Leases
from epost.post.storage.frames import (
    CHUNK_BYTES,
    SINGLE_FRAME_BYTES_MAX,
    Codec,
    convergent_key,
    decode_frame,
    encode_frame,
    encode_manifest_frame,
    open_frame,
    seal_frame,
)
from epost.post.storage.reference_memory import ReferenceMemory, Remembered
from epost.post.storage.references import Reference, Secrecy
from epost.post.storage.unneeded import UnneededBlocks

MESSAGE_BYTES_MAX = 2 * 1024 * 1024 * 1024
"""Longest plaintext, though manifests could list more; formerly 256 MiB (decision 0054)."""
CHUNKS_MAX = 16_384
CHUNKS_IN_FLIGHT = 3
"""Frames of a chunk or more that are being stored, of all messages together; and how far a reader
of one message runs ahead."""
_PUBLIC_SECRET = derive(bytes(32), "cvg/public").key


class Chunk(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One chunk in a manifest."""

    digest: Bytes32
    key: Bytes32


class Manifest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Lists the chunks of a long plaintext in order (crypto 5.2)."""

    format: V1
    total: U63
    sha256: Bytes32
    chunk_size: U63
    chunks: Annotated[tuple[Chunk, ...], msgspec.Meta(max_length=CHUNKS_MAX)]


_MANIFEST: Format[Manifest] = Format(Manifest, size_max=SINGLE_FRAME_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message lies in the store; `durability` says how safely."""

    reference: Reference
    durability: Durability


class MessageStore:
    """Stores and fetches messages for one account."""

    def __init__(
        self,
        *,
        device: Device,
        blocks: BlockStore,
        memory: ReferenceMemory,
        entropy: Entropy,
        leases: Leases,
        unneeded: UnneededBlocks,
        replicas_wanted: Callable[[], int],
        config: PostConfig,
    ) -> None:
        """`unneeded` learns of every block that is used, and `leases` of what is kept here."""
        self._leases = leases
        self._unneeded = unneeded
        self._device = device
        self._blocks = blocks
        self._memory = memory
        self._entropy = entropy
        self._replicas_wanted = replicas_wanted
        self._config = config
        self._large_insertions = asyncio.Semaphore(CHUNKS_IN_FLIGHT)

    async def store(
        self, plaintext: Octets, *, secrecy: Secrecy | None = None, confidential: bool = False
    ) -> Stored:
        """Store a message; without `secrecy` the rules of crypto 5.4 choose it.

        A remembered reference is reused whatever its mode, unless `secrecy` asks for another.
        Raises MessageTooLarge, and RefusedError for organisation mode without its secret.
        """
        if len(plaintext) > MESSAGE_BYTES_MAX:
            raise MessageTooLarge(f"{len(plaintext)} bytes, at most {MESSAGE_BYTES_MAX}")
        sha256 = await _sha256(plaintext)
        remembered = self._memory.recall(sha256)
        if remembered is not None and secrecy in {None, remembered.reference.mode}:
            reused = await self._reuse(sha256, remembered)
            if reused is not None:
                return reused
        mode = secrecy or self._choose(len(plaintext), confidential)
        if len(plaintext) > SINGLE_FRAME_BYTES_MAX:
            stored = await self._store_chunks(plaintext, sha256, mode)
        else:
            stored = await self._store_frame(plaintext, 0, len(plaintext), mode)
        self._memory.remember(sha256, Remembered(stored.reference, stored.durability))
        return stored

    async def fetch(self, reference: Reference) -> bytes:
        """Return a message, whole: not for long ones.

        Raises NoSuchBlock, UnavailableError, and AuthenticityError or PeerError if whoever made
        the reference made it wrongly.
        """
        async with aclosing(self.stream(reference)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def stream(self, reference: Reference) -> AsyncGenerator[bytes, None]:
        """Yield a message piece by piece, none longer than a frame; raises as `fetch`.

        It is not proved to be the message that was stored before the last piece was taken.
        """
        codec, raw = await self._fetch_block(reference.digest, reference.key)
        if (codec is Codec.MANIFEST) != (reference.codec == Codec.MANIFEST):
            raise MalformedPacket("a manifest where none was promised, or none where one was")
        manifest = _MANIFEST.decode(raw) if codec is Codec.MANIFEST else None
        if (manifest.total if manifest else len(raw)) != reference.raw_length:
            raise MalformedPacket("a message of another length than its reference says")
        if manifest is None:
            yield raw
            return
        async with aclosing(self._chunks(manifest)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def handles_of(self, reference: Reference) -> list[Handle]:
        """Return the handles of every block of a message; fetches the manifest, if there is one."""
        if reference.codec != Codec.MANIFEST:
            return [reference.handle]
        _, encoded = await self._fetch_block(reference.digest, reference.key)
        chunks = _MANIFEST.decode(encoded).chunks
        return [reference.handle, *(Handle(BlockKind.CONTENT, c.digest) for c in chunks)]

    async def _use(self, reference: Reference) -> None:
        """Keep every block of a message from being let go, before anything refers to it again."""
        self._unneeded.use(reference.digest)
        if self._unneeded and reference.codec == Codec.MANIFEST:
            for handle in await self.handles_of(reference):
                self._unneeded.use(handle.digest)

    async def _reuse(self, sha256: bytes, remembered: Remembered) -> Stored | None:
        """Return the known reference; insert its block again if it is not on enough machines."""
        reference, durability = remembered.reference, remembered.durability
        if not self._leases.is_mirrored(reference.handle):
            return None  # let go since: nobody may keep it any more
        await self._use(reference)
        if durability.suffices(self._replicas_wanted()):
            return Stored(reference, durability)
        if reference.codec == Codec.MANIFEST:
            return None  # rare, and storing the chunks again is idempotent in shared modes
        try:
            block = await self._blocks.lookup(reference.handle)
        except NoSuchBlock:
            return None
        insertion = await self._blocks.insert(BlockKind.CONTENT, block)
        self._memory.remember(sha256, Remembered(reference, insertion.durability))
        return Stored(reference, insertion.durability)

    def _choose(self, size: int, confidential: bool) -> Secrecy:
        may_be_shared = size >= self._config.organisation_mode_size_min and not confidential
        if may_be_shared and self._device.organisation_secret is not None:
            return Secrecy.ORGANISATION
        return Secrecy.UNIQUE

    def _content_key(self, mode: Secrecy, framed: bytes) -> bytes:
        match mode:
            case Secrecy.UNIQUE:
                return self._entropy.token(32)
            case Secrecy.CONVERGENT:
                return convergent_key(_PUBLIC_SECRET, framed)
            case Secrecy.ORGANISATION:
                if (secret := self._device.organisation_secret) is None:
                    raise RefusedError("this device does not hold the organisation's secret")
                return convergent_key(organisation_convergence(secret), framed)
            case Secrecy.ACCOUNT:
                secret = derive(self._device.account_data_key, "cvg/account").key
                return convergent_key(secret, framed)
        assert_never(mode)

    async def _insert(self, framed: bytes, codec: Codec, raw_length: int, mode: Secrecy) -> Stored:
        places_left = PLACES_TRIED_MAX
        while True:
            places_left -= 1
            key = self._content_key(mode, framed)
            block = seal_frame(key, framed)
            if self._unneeded:
                self._unneeded.use(digest("blk/content", block))
            insertion = await self._blocks.insert(
                BlockKind.CONTENT, block, only_with_room=places_left > 0
            )
            if not insertion.found_no_room or places_left == 0:
                reference = Reference(insertion.handle.digest, key, mode, int(codec), raw_length)
                return Stored(reference, insertion.durability)
            mode = Secrecy.UNIQUE  # another key, another handle, another part of the ring

    async def _store_frame(self, plaintext: Octets, start: int, end: int, mode: Secrecy) -> Stored:
        """Store some of a plaintext in one block; waits until there is memory for it."""
        if end - start < CHUNK_BYTES:
            raw = plaintext[start:end]
            return await self._insert(encode_frame(raw), Codec.RAW, len(raw), mode)
        async with self._large_insertions:
            framed = encode_frame(plaintext[start:end])
            return await self._insert(framed, Codec.RAW, end - start, mode)

    async def _store_chunks(self, plaintext: Octets, sha256: bytes, mode: Secrecy) -> Stored:
        size = len(plaintext)
        stored = await in_parallel(
            [
                self._store_frame(plaintext, start, min(start + CHUNK_BYTES, size), mode)
                for start in range(0, size, CHUNK_BYTES)
            ],
            at_once=CHUNKS_IN_FLIGHT,
        )
        manifest = Manifest(
            1,
            size,
            sha256,
            CHUNK_BYTES,
            tuple(Chunk(s.reference.digest, s.reference.key) for s in stored),
        )
        framed = encode_manifest_frame(encode(manifest))
        whole = await self._insert(framed, Codec.MANIFEST, size, mode)
        durability = whole.durability.combine(*(s.durability for s in stored))
        return Stored(whole.reference, durability)

    async def _fetch_block(self, block_digest: bytes, key: bytes) -> tuple[Codec, bytes]:
        self._unneeded.use(block_digest)
        block = await self._blocks.lookup(Handle(BlockKind.CONTENT, block_digest))
        return decode_frame(open_frame(key, block))

    async def _chunks(self, manifest: Manifest) -> AsyncGenerator[bytes, None]:
        if manifest.total > MESSAGE_BYTES_MAX or not 0 < manifest.chunk_size <= CHUNK_BYTES:
            raise MalformedPacket("a manifest beyond the limits")
        if len(manifest.chunks) * manifest.chunk_size >= manifest.total + manifest.chunk_size:
            raise MalformedPacket("more chunks than the message needs")

        async def fetch_chunk(chunk: Chunk) -> bytes:
            codec, raw = await self._fetch_block(chunk.digest, chunk.key)
            if codec is Codec.MANIFEST or len(raw) > manifest.chunk_size:
                raise MalformedPacket("not a chunk")
            return raw

        size, hasher = 0, hashlib.sha256()
        fetches = map(fetch_chunk, manifest.chunks)
        async with aclosing(read_ahead(fetches, at_once=CHUNKS_IN_FLIGHT)) as chunks:
            async for raw in chunks:
                size += len(raw)
                hasher.update(raw)
                yield raw
        if size != manifest.total or hasher.digest() != manifest.sha256:
            raise HashMismatch("the chunks are not the message that the manifest names")


async def _sha256(plaintext: Octets) -> bytes:
    hasher = hashlib.sha256()
    for window in windows(plaintext):
        hasher.update(window)
        if len(plaintext) > WINDOW_BYTES:
            await asyncio.sleep(0)
    return hasher.digest()


def organisation_convergence(secret: bytes) -> bytes:
    """Return the convergence secret of an epoch's organisation secret."""
    return derive(secret, "cvg/org").key
