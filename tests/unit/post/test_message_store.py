"""The message store: frames, keys, modes, manifests, and the memory of references."""

import hashlib

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
from epost.post import frames, message_store
from epost.post.devices import EpochSecret
from epost.post.message_store import organisation_convergence
from epost.post.references import Reference, Secrecy
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
