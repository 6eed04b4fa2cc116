"""The message store: frames, keys, modes, manifests, and the memory of references."""

import asyncio
import hashlib
from contextlib import aclosing

import pytest
import zstandard

from epost.crypto.boxes import padme
from epost.crypto.hashing import digest
from epost.foundation.errors import (
    BadSeal,
    EpostError,
    HashMismatch,
    LimitExceeded,
    MalformedPacket,
    MessageTooLarge,
    RefusedError,
)
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.octets import Excerpt
from epost.past.client import Insertion
from epost.post.accounts.keyring import EpochSecret
from epost.post.ports import BlockStore
from epost.post.storage import frames, message_store
from epost.post.storage.message_store import CHUNKS_IN_FLIGHT, organisation_convergence
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.clock import run
from tests.support.post_world import World, settle

MIB = 1024 * 1024


def test_the_vector_of_the_specification_comes_out() -> None:
    secret = organisation_convergence(bytes(32))
    assert secret.hex() == "2d6a5fec4ed086747080f7fc429626fa1d38744b537c0ffc0e71a384762d9691"
    framed = frames.encode_frame(b"abc")
    key = frames.convergent_key(secret, framed)
    assert key.hex() == "26d34bb6ca26ec229e687489af34de12ade5ce81b59467dfe5f46391b87c561c"
    block = frames.seal_frame(key, framed)
    assert len(block) == 306
    block_digest = digest("blk/content", block).hex()
    assert block_digest == "f1e57dd8390e46b6413133491d546efc7f22d77dc08d338480189969e123a455"
    assert frames.decode_frame(frames.open_frame(key, block)) == (frames.Codec.RAW, b"abc")


@pytest.mark.parametrize("size", [0, 1, 238, 239, 240, 5_000, 70_000, 4 * MIB])
def test_a_frame_is_padded_and_decodes_to_what_was_framed(size: int) -> None:
    for raw in (hashlib.shake_256(b"x").digest(size), bytes(size)):
        framed = frames.encode_frame(raw)
        assert len(framed) == padme(len(framed))
        assert frames.decode_frame(framed)[1] == raw


def test_only_what_shrinks_by_a_twentieth_is_compressed() -> None:
    assert frames.encode_frame(bytes(1000))[0] == frames.Codec.ZSTD
    assert frames.encode_frame(hashlib.shake_256(b"x").digest(1000))[0] == frames.Codec.RAW


def framed(codec: int, raw_length: int, payload: bytes, *, padding: bytes | None = None) -> bytes:
    header = bytes((codec,)) + raw_length.to_bytes(8, "big") + len(payload).to_bytes(8, "big")
    body = header + payload
    return body + (bytes(padme(len(body)) - len(body)) if padding is None else padding)


def test_frames_that_nobody_makes_are_refused() -> None:
    compressed = zstandard.ZstdCompressor().compress(bytes(1000))
    bomb = zstandard.ZstdCompressor().compress(bytes(64 * MIB))
    for bad in (
        b"",
        framed(0, 3, b"abc", padding=b""),
        framed(0, 3, b"abc", padding=bytes(235) + b"\1"),
        framed(0, 3, b"abc", padding=bytes(500)),
        framed(0, 4, b"abc"),
        framed(3, 3, b"abc"),
        framed(1, 3, b"abc"),
        framed(1, 999, compressed),
        framed(1, 1001, compressed),
        framed(1, 1000, compressed + b"trailing"),
        framed(1, 1000, compressed * 2),
        framed(1, 4 * MIB, bomb),
    ):
        with pytest.raises(MalformedPacket):
            frames.decode_frame(bad)
    with pytest.raises(LimitExceeded):
        frames.decode_frame(framed(1, 64 * MIB, bomb))


def test_a_block_opens_with_its_own_key_only() -> None:
    block = frames.seal_frame(b"k" * 32, frames.encode_frame(b"abc"))
    for key, data in ((b"x" * 32, block), (b"k" * 32, b"\2" + block[1:]), (b"k" * 32, block[:-1])):
        with pytest.raises(BadSeal):
            frames.open_frame(key, data)


def with_store(story):
    """Run a story with a message store of Alice's."""

    def test() -> None:
        async def whole() -> None:
            alice = World().enrol("alice")
            post = await alice.start()
            await story(alice, post.services.messages)
            await alice.stop()

        run(whole())

    test.__name__ = story.__name__
    return test


@with_store
async def test_what_is_stored_can_be_fetched(alice, messages) -> None:
    for secrecy in (None, Secrecy.CONVERGENT, Secrecy.ACCOUNT, Secrecy.UNIQUE):
        stored = await messages.store(f"hello {secrecy}".encode(), secrecy=secrecy)
        assert stored.durability.ring_durable
        assert await messages.fetch(stored.reference) == f"hello {secrecy}".encode()
        assert await messages.handles_of(stored.reference) == [stored.reference.handle]


@with_store
async def test_storing_again_reuses_the_reference_in_every_mode(alice, messages) -> None:
    first = await messages.store(b"a circular")
    blocks = len(alice.world.ring.inserted)
    assert (await messages.store(b"a circular")).reference == first.reference
    await settle()
    await alice.stop()
    post = await alice.start()
    assert (await post.services.messages.store(b"a circular")).reference == first.reference
    assert len(alice.world.ring.inserted) == blocks


@with_store
async def test_two_accounts_share_a_block_only_in_shared_modes(alice, messages) -> None:
    bob = alice.world.enrol("bob")
    other = (await bob.start()).services.messages
    text = b"the same text"
    for secrecy, shared in (
        (Secrecy.CONVERGENT, True), (Secrecy.ACCOUNT, False), (Secrecy.UNIQUE, False)
    ):  # fmt: skip
        ours = await messages.store(text, secrecy=secrecy)
        theirs = await other.store(text, secrecy=secrecy)
        assert (ours.reference.digest == theirs.reference.digest) is shared
    await bob.stop()


@with_store
async def test_large_parts_are_shared_in_the_organisation_unless_confidential(
    alice, messages
) -> None:
    big, small = hashlib.shake_256(b"big").digest(64 * 1024), b"small"
    assert (await messages.store(big)).reference.mode is Secrecy.UNIQUE, "no secret yet"
    with pytest.raises(RefusedError):
        await messages.store(b"x", secrecy=Secrecy.ORGANISATION)
    secrets = alice.device.secrets
    alice.device.use(
        type(secrets)(**{
            **{name: getattr(secrets, name) for name in secrets.__struct_fields__},
            "organisation_secrets": (EpochSecret(1, bytes(32)),),
        })
    )  # fmt: skip
    again = await messages.store(big)
    assert again.reference.mode is Secrecy.UNIQUE, "the reference that is remembered"
    assert (await messages.store(big + b"1")).reference.mode is Secrecy.ORGANISATION
    secret = await messages.store(big + b"2", confidential=True)
    assert secret.reference.mode is Secrecy.UNIQUE
    assert (await messages.store(small)).reference.mode is Secrecy.UNIQUE


@with_store
async def test_long_messages_are_cut_into_chunks(alice, messages) -> None:
    text = hashlib.shake_256(b"long").digest(4 * MIB + 12_345)
    stored = await messages.store(text)
    assert stored.reference.codec == 2
    assert len(await messages.handles_of(stored.reference)) == 6
    assert await messages.fetch(stored.reference) == text
    whole = await messages.store(text[: 4 * MIB])
    assert whole.reference.codec == 0
    again = await messages.store(text)
    assert again.reference == stored.reference


class NothingRemembered:
    """The memory of another device of the account."""

    def recall(self, sha256: bytes) -> None:
        return None

    def remember(self, sha256: bytes, remembered: object) -> None:
        pass


class Watched:
    """A block store that counts how many large blocks are on their way."""

    def __init__(self, blocks: BlockStore) -> None:
        self._blocks = blocks
        self.under_way = 0
        self.most = 0
        self.asked = 0

    async def insert(self, kind: BlockKind, block: bytes, **options: bool) -> Insertion:
        self._begin()
        try:
            return await self._blocks.insert(kind, block, **options)
        finally:
            self.under_way -= 1

    async def lookup(self, handle: Handle) -> bytes:
        self.asked += 1
        self._begin()
        try:
            return await self._blocks.lookup(handle)
        finally:
            self.under_way -= 1

    def _begin(self) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)


@with_store
async def test_few_chunks_are_under_way_however_long_and_many_the_messages(alice, messages) -> None:
    watched = messages._blocks = Watched(messages._blocks)
    texts = [hashlib.shake_256(name).digest(7 * MIB) for name in (b"1", b"2")]
    stored = await asyncio.gather(*map(messages.store, texts))
    assert watched.most <= CHUNKS_IN_FLIGHT + len(texts)  # and their manifests
    for text, one in zip(texts, stored, strict=True):
        assert await messages.fetch(one.reference) == text


@with_store
async def test_a_reader_that_stops_is_not_run_ahead_of(alice, messages) -> None:
    text = hashlib.shake_256(b"read").digest(9 * MIB)
    stored = await messages.store(text)
    watched = messages._blocks = Watched(messages._blocks)
    async with aclosing(messages.stream(stored.reference)) as pieces:
        first = await anext(pieces)
        await asyncio.sleep(1)
    assert text.startswith(first)
    assert watched.asked <= 1 + CHUNKS_IN_FLIGHT  # the manifest and the first few


@with_store
async def test_what_is_not_in_memory_is_stored_as_if_it_were(alice, messages) -> None:
    text = hashlib.shake_256(b"same").digest(5 * MIB)
    stored = await messages.store(text, secrecy=Secrecy.ACCOUNT)
    messages._memory = NothingRemembered()
    on_disk = Excerpt(b"x" + text + b"y", 1, len(text) + 1)
    again = await messages.store(on_disk, secrecy=Secrecy.ACCOUNT)
    assert again.reference == stored.reference


@with_store
async def test_a_message_beyond_the_limit_is_refused(alice, messages) -> None:
    limit = message_store.MESSAGE_BYTES_MAX
    message_store.MESSAGE_BYTES_MAX = 1000
    try:
        with pytest.raises(MessageTooLarge):
            await messages.store(bytes(1001))
        await messages.store(bytes(1000))
    finally:
        message_store.MESSAGE_BYTES_MAX = limit


@with_store
async def test_references_that_lie_are_found_out(alice, messages) -> None:
    stored = (await messages.store(b"abc")).reference
    text = hashlib.shake_256(b"long").digest(4 * MIB + 10)
    long = (await messages.store(text)).reference
    honest = [getattr(stored, name) for name in stored.__struct_fields__]
    lies = [
        Reference(*honest[:4], 4),
        Reference(*honest[:3], 2, 3),
        Reference(honest[0], b"x" * 32, *honest[2:]),
        Reference(long.digest, long.key, long.mode, 0, long.raw_length),
    ]
    for lie in lies:
        with pytest.raises(EpostError):
            await messages.fetch(lie)


async def manifest_lies(alice, messages, **changes) -> Reference:
    """Store a manifest that does not tell the truth about its chunk."""
    chunk = (await messages.store(b"x" * 100, secrecy=Secrecy.UNIQUE)).reference
    facts = {
        "format": 1,
        "total": 100,
        "sha256": hashlib.sha256(b"x" * 100).digest(),
        "chunk_size": MIB,
        "chunks": (message_store.Chunk(chunk.digest, chunk.key),),
    }
    manifest = message_store.Manifest(**{**facts, **changes})
    key = b"m" * 32
    block = frames.seal_frame(key, frames.encode_manifest_frame(message_store.encode(manifest)))
    insertion = await alice.store.insert(BlockKind.CONTENT, block)
    return Reference(insertion.handle.digest, key, Secrecy.UNIQUE, 2, manifest.total)


@with_store
async def test_manifests_that_lie_are_found_out(alice, messages) -> None:
    assert await messages.fetch(await manifest_lies(alice, messages)) == b"x" * 100
    for changes, error in (
        ({"total": 99}, HashMismatch),
        ({"sha256": bytes(32)}, HashMismatch),
        ({"chunk_size": 50}, MalformedPacket),
        ({"chunk_size": 0}, MalformedPacket),
        ({"total": 1 << 40}, MalformedPacket),
        ({"chunks": ()}, HashMismatch),
    ):
        lie = await manifest_lies(alice, messages, **changes)
        with pytest.raises(error):
            await messages.fetch(lie)
    nested = await manifest_lies(alice, messages)
    chunk = message_store.Chunk(nested.digest, nested.key)
    with pytest.raises(MalformedPacket):
        await messages.fetch(await manifest_lies(alice, messages, chunks=(chunk,)))


@with_store
async def test_a_full_part_of_the_ring_is_avoided_by_another_key_and_handle(
    alice, messages
) -> None:
    alice.world.ring.full_parts = 2
    stored = await messages.store(b"to be had elsewhere", secrecy=Secrecy.CONVERGENT)
    assert stored.durability.ring_durable
    assert stored.reference.mode is Secrecy.UNIQUE
    assert await messages.fetch(stored.reference) == b"to be had elsewhere"


@with_store
async def test_where_every_part_is_full_the_last_try_is_kept(alice, messages) -> None:
    alice.world.ring.full_parts = 100
    stored = await messages.store(b"nowhere to be had")
    assert alice.world.ring.full_parts == 97
    assert await messages.fetch(stored.reference) == b"nowhere to be had"


@with_store
async def test_what_was_held_locally_is_inserted_again_when_it_is_stored_again(
    alice, messages
) -> None:
    alice.is_online = False
    first = await messages.store(b"on a train")
    assert not first.durability.ring_durable
    alice.is_online = True
    again = await messages.store(b"on a train")
    assert again.reference == first.reference
    assert again.durability.ring_durable
    await settle()
    assert (await messages.store(b"on a train")).reference == first.reference
    alice.is_online = False
    lost = await messages.store(b"lost")
    long = await messages.store(bytes(5 * MIB))
    alice.is_online = True
    alice.disk.vault.clear()
    assert (await messages.store(b"lost")).reference != lost.reference
    assert (await messages.store(bytes(5 * MIB))).reference.codec == long.reference.codec


@with_store
async def test_what_is_not_mirrored_here_any_more_is_stored_anew(alice, messages) -> None:
    first = await messages.store(b"let go")
    await settle()
    await alice.layers.leases.unmirror(await messages.handles_of(first.reference))
    again = await messages.store(b"let go")
    assert again.reference != first.reference
    assert alice.layers.leases.is_mirrored(again.reference.handle)


@with_store
async def test_what_was_stored_in_a_smaller_ring_is_inserted_again_when_it_is_stored_again(
    alice, messages
) -> None:
    alice.world.replicas = 1
    first = await messages.store(b"alone")
    assert first.durability.ring_durable
    alice.world.replicas = 3
    again = await messages.store(b"alone")
    assert again.reference == first.reference
    assert again.durability.acked == 3


@with_store
async def test_a_stolen_vault_holds_no_reference_in_the_clear(alice, messages) -> None:
    stored = await messages.store(b"secret")
    await settle()
    (name, value), *_ = alice.disk.notes("post.references")
    assert hashlib.sha256(b"secret").digest()[:16] != name
    assert stored.reference.key not in value
    assert "secret" not in repr(stored.reference)
    assert stored.reference.key.hex() not in repr(stored.reference)
    assert Handle(BlockKind.CONTENT, stored.reference.digest) == stored.reference.handle
