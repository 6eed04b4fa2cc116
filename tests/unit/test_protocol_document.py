"""docs/protocol.md says what the code does: its structs, numbers, limits, labels and vectors."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from functools import cache
from typing import get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from epost.apps.mail.delivery.notice import read_notice
from epost.apps.mail.log.records import Record, decode_record, encode_record
from epost.apps.mail.mime.skeleton import SKELETONS, join
from epost.crypto.boxes import unbox, unpad
from epost.crypto.certificates import Certificate, OrganisationTrust
from epost.crypto.hashing import MAGIC, digest, frame
from epost.crypto.keyfile import unlock
from epost.crypto.signing import Kind
from epost.crypto.versioned import open_key_block
from epost.daemon.enrolment.channel import What
from epost.daemon.tls.frames import CloseReason, Frame
from epost.foundation.codec import encode
from epost.foundation.ids import BlockKind
from epost.foundation.wire import Application, Form, RefusalCode, pack, unpack
from epost.past import messages as past
from epost.past.blocks import content_handle
from epost.past.log_format import split_records
from epost.past.pending import ENVELOPE, Envelope
from epost.past.space.words import NOTIFICATION, SpaceWord
from epost.pastry import messages as pastry
from epost.post.app_ids import AppId
from epost.post.messages import ANSWERED, POST_MESSAGE, Deliver, Grew, Kept, Settle
from epost.post.notification.records import POST_RECORD, PostRecord
from epost.rings.enrolment import open_request
from epost.rings.invite import parse_invite
from epost.rings.messages import RINGS_MESSAGE, RingsMessage
from epost.scribe import messages as scribe
from tests.support import protocol_document as document
from tests.support import vectors as block_vectors
from tests.support.organisation import START_MS
from tests.support.protocol_document import DescribedStruct, Limit, Vector
from tests.support.wire_vectors import MAIL, SEED, all_vectors

TEXT = document.text()
STRUCTS = list(document.structs(TEXT))
LIMITS = list(document.limits(TEXT))
VECTORS = list(document.vectors(TEXT))
ENUMS = list(document.enums(TEXT))
MADE = all_vectors()
LABEL_IN_CODE = re.compile(
    r'\b(?:digest|keyed_digest|derive|frame|tagged)\((?:(?:bytes\(32\)|[^()"])*, )?"([^"]+)"'
)


@cache
def golden(file: str) -> dict[str, bytes]:
    known = json.loads((document.ROOT / file).read_text())
    return {name: bytes.fromhex(digits) for name, digits in known.items()}


@pytest.mark.parametrize("described", STRUCTS, ids=lambda s: f"{s.module}.{s.heading}")
def test_a_struct_has_the_fields_and_types_that_the_document_lists(
    described: DescribedStruct,
) -> None:
    assert described.heading == document.heading_of(described.type)
    assert described.fields == document.fields_of(described.type)


@pytest.mark.parametrize(("type_", "listed"), ENUMS, ids=lambda e: getattr(e, "__name__", ""))
def test_an_enum_has_the_numbers_that_the_document_lists(
    type_: type[Kind], listed: dict[str, int]
) -> None:
    assert listed == {member.name: member.value for member in type_}


def test_every_number_that_travels_is_in_the_document() -> None:
    listed = {type_ for type_, _ in ENUMS}
    for closed in (
        Application,
        Form,
        RefusalCode,
        Kind,
        BlockKind,
        AppId,
        Frame,
        CloseReason,
        What,
    ):
        assert closed in listed


@pytest.mark.parametrize(
    "union",
    [
        *(pastry.Packet, scribe.Packet, RingsMessage, past.Request, past.Reply),
        *(past.Upkeep, SpaceWord),
        *(Deliver | Settle | Grew | Kept, Certificate, PostRecord, Record),
    ],
)
def test_every_message_and_record_is_in_the_document(union: object) -> None:
    assert set(get_args(union)) <= {struct.type for struct in STRUCTS}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.module}.{limit.name}")
def test_a_limit_has_the_value_that_the_document_says(limit: Limit) -> None:
    assert limit.in_code() == pytest.approx(limit.value)


def test_the_labels_of_hashes_and_derivations_are_those_in_the_document() -> None:
    sources = (document.ROOT / "src" / "epost").rglob("*.py")
    outside = {"simulation", "servers"}  # a simulated seal, and SCRAM, which has its own labels
    used = {
        label
        for source in sources
        if not outside & set(source.parts)
        for label in LABEL_IN_CODE.findall(source.read_text())
    }
    assert document.labels(TEXT) == used


def test_the_notes_in_the_document_are_those_of_the_code() -> None:
    sources = (document.ROOT / "src" / "epost").rglob("*.py")
    named = re.compile(r'^(?:\w+_)?(?:NOTES|TABLE) = "([a-z.]+)"', re.MULTILINE)
    used = {table for source in sources for table in named.findall(source.read_text())}
    listed = set(re.findall(r"^\| `([a-z]+\.[a-z.]+)` \| .* \| (?:yes|no) \|$", TEXT, re.MULTILINE))
    assert listed == used


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v.file}: {v.name}")
def test_a_printed_vector_is_the_golden_one(vector: Vector) -> None:
    assert vector.data.hex() == golden(vector.file)[vector.name].hex()


@pytest.mark.parametrize("file", sorted(MADE))
def test_what_is_made_today_is_what_was_made_then(file: str) -> None:
    assert MADE[file] == golden(f"tests/vectors/{file}.json")


def re_encoded(file: str) -> Callable[[str, bytes], bytes]:
    """Return how vectors of a file are read and written again; those elsewhere have own tests."""
    formats = {"replica-set query": past.REPLICA_SET_QUERY, "look-up query": past.ROUTED}
    formats |= {"renewal": past.ROUTED, "prolong": NOTIFICATION}
    formats |= dict.fromkeys(("put", "extend", "fetch", "has"), past.REQUEST)
    formats |= dict.fromkeys(
        ("summary", "agreed", "compared", "offer", "have", "want", "give", "gone"), past.UPKEEP
    )
    readers: dict[str, Callable[[str, bytes], bytes]] = {
        "pastry": lambda _, data: encode(pastry.PACKET.decode(data)),
        "scribe": lambda _, data: encode(scribe.PACKET.decode(data)),
        "past_messages": lambda name, data: encode(formats.get(name, past.REPLY).decode(data)),
        "mail_records": lambda _, data: encode_record(decode_record(data)),
    }
    return readers[file]


@pytest.mark.parametrize("file", ["pastry", "scribe", "past_messages", "mail_records"])
def test_the_vectors_of_messages_and_records_read_back(file: str) -> None:
    read = re_encoded(file)
    for name, data in golden(f"tests/vectors/{file}.json").items():
        assert read(name, data) == data, name


def test_the_other_vectors_mean_what_the_document_says() -> None:
    rings, post = golden("tests/vectors/rings.json"), golden("tests/vectors/post.json")
    for name in ("numbers", "ask", "news"):
        assert encode(RINGS_MESSAGE.decode(rings[name])) == rings[name]
    assert parse_invite(rings["invite"].decode(), START_MS - 1).name == "a@example.org"
    trust = OrganisationTrust(rings["organisation certificate"], [rings["issuer certificate"]])
    assert trust.verify_node(rings["node certificate"], START_MS)
    assert trust.verify_account(rings["account certificate"], START_MS).name == "alice@example.org"
    for name in ("record outgoing", "record progressed", "record received"):
        assert encode(POST_RECORD.decode(post[name])) == post[name]
    for name in ("message deliver", "message settle"):
        assert encode(POST_MESSAGE.decode(post[name])) == post[name]
    assert encode(ANSWERED.decode(post["message answered"])) == post["message answered"]
    assert content_handle(post["block"]).digest.hex() in TEXT


def test_the_vectors_of_blocks_and_files_mean_what_the_document_says() -> None:
    blocks = golden("tests/vectors/past_blocks.json")
    assert split_records(blocks["cluster"])[0] == blocks["log record"]
    assert open_key_block(blocks["public-key block"]).purpose is Kind.IDENTITY
    assert blocks["content handle"] == encode(content_handle(block_vectors.CONTENT))
    files = golden("tests/vectors/data_folder.json")
    assert unlock(files["key file"], "node", None) == SEED
    assert unlock(files["key file under a passphrase"], "device", "correct horse") == SEED


def test_the_vectors_of_links_mails_and_boxes_mean_what_the_document_says() -> None:
    links = golden("tests/vectors/links.json")
    for name in ("notify", "request", "response", "refusal"):
        message = unpack(links[name])
        packed = pack(message.application, message.form, message.body, message.call_id)
        assert packed == links[name]
    mails = golden("tests/vectors/mail_formats.json")
    assert join(SKELETONS.decode(mails["skeleton"]), [bytes(range(10))]) == MAIL
    for name in ("notice with the mail", "notice with references"):
        assert encode(read_notice(mails[name])) == mails[name]
    primitives = golden("tests/vectors/primitives.json")
    assert unbox(SEED, b"associated", primitives["box"]) == b"plaintext"
    assert unpad(primitives["pad"]) == b"plaintext"
    requests = golden("tests/vectors/enrolment.json")
    for name in ("storage request", "member request"):
        assert open_request(requests[name]).token == b"t" * 16


def test_an_envelope_opens_by_the_steps_of_the_document_alone() -> None:
    envelope = ENVELOPE.decode(golden("tests/vectors/post.json")["envelope"])
    outside = msgspec.msgpack.encode(
        [1, envelope.to_ring, envelope.to_account, envelope.expires_at]
    )
    binding = digest("env", outside + envelope.body)
    session_key = opened_by_hand(SEED, MAGIC + frame("seal/notice", binding), envelope)
    assert unpad(unbox(session_key, outside, envelope.body)).startswith(b"\x93")


def opened_by_hand(seed: bytes, info: bytes, envelope: Envelope) -> bytes:
    """Open the first wrap: section 2.5 and RFC 9180, without the library's HPKE."""
    sealed = envelope.wraps[0].sealed
    kem_part, dh_part, ciphertext = sealed[:1088], sealed[1088:1120], sealed[1120:]
    expanded = hashlib.shake_256(seed).digest(96)
    kem_key = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    dh_key = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    dh_shared = dh_key.exchange(x25519.X25519PublicKey.from_public_bytes(dh_part))
    own_part = dh_key.public_key().public_bytes_raw()
    parts = (kem_key.decapsulate(kem_part), dh_shared, dh_part, own_part, b"\\.//^\\")
    shared = hashlib.sha3_256(b"".join(parts)).digest()
    suite = b"HPKE" + bytes.fromhex("647a00010002")

    def extract(salt: bytes, label: bytes, key: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + key, "sha256")

    def expand(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
        labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context
        return hmac.digest(secret, labelled + b"\x01", "sha256")[:size]

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")
