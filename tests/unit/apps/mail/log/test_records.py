"""Mail records: their bytes are fixed, and nothing else decodes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from epost.apps.mail.log.records import (
    FIRST,
    NAMES_PER_RECORD_MAX,
    RECORD_BYTES_MAX,
    Annotate,
    ChangeFlags,
    CopiedMail,
    Copy,
    CreateFolder,
    DeleteFolder,
    Expunge,
    Inline,
    Insert,
    ModseqRange,
    Move,
    Noticed,
    Numbering,
    Record,
    RenameFolder,
    Save,
    Stamp,
    Stay,
    Stored,
    Subscribe,
    UidRange,
    UidValidity,
    decode_record,
    encode_record,
)
from epost.foundation.errors import LimitExceeded, MalformedPacket, PeerError
from epost.post.storage.references import Reference, Secrecy

VECTORS = Path(__file__).parents[4] / "vectors" / "mail_records.json"

EMAIL, OTHER, FOLDER = bytes(range(16)), bytes(range(16, 32)), b"f" * 16
STAMP = Stamp(300, 2)
REFERENCE = Reference(b"d" * 32, b"k" * 32, Secrecy.ORGANISATION, 2, 70_000)

RECORDS: dict[str, Record] = {
    "insert inline": Insert(
        EMAIL, FOLDER, ("\\Seen",), 1_700_000_000, 60, 5, Inline(b"a\r\n\0\xff")
    ),
    "insert stored": Insert(
        EMAIL, FOLDER, (), -1, -720, 70_000, Stored(REFERENCE, (REFERENCE, REFERENCE))
    ),
    "insert noticed": Insert(EMAIL, FOLDER, (), 0, 0, 3, Noticed(b"signed notice")),
    "change flags": ChangeFlags(STAMP, (EMAIL, OTHER), ("$Forwarded", "\\Flagged"), ("\\Seen",)),
    "move": Move(STAMP, (EMAIL,), FOLDER),
    "copy": Copy((CopiedMail(EMAIL, OTHER, ("\\Answered",)),), FOLDER),
    "expunge": Expunge((EMAIL, OTHER)),
    "create folder": CreateFolder(STAMP, FOLDER, "Arbeit/Grüße", "\\Archive"),
    "rename folder": RenameFolder(STAMP, FOLDER, "Work"),
    "delete folder": DeleteFolder(FOLDER),
    "subscribe": Subscribe(STAMP, "Work", False),
    "uid validity": UidValidity(FOLDER, 1_700_000_000),
    "uid range": UidRange(FOLDER, (Stay(EMAIL, FIRST), Stay(OTHER, STAMP))),
    "modseq range": ModseqRange(1 << 40),
    "numbering": Numbering(b"n" * 16),
    "annotate": Annotate(STAMP, FOLDER, "/private/comment", (b"a\0\xff",)),
    "annotate account": Annotate(STAMP, b"", "/shared/comment", ()),
    "save": Save(FOLDER, FIRST, 1_700_000_000, (EMAIL, OTHER)),
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_have_the_bytes_they_always_had(name: str) -> None:
    """Run this module to write new vectors; those of released versions never change."""
    vectors = json.loads(VECTORS.read_text())
    assert encode_record(RECORDS[name]).hex() == vectors[name]
    assert decode_record(bytes.fromhex(vectors[name])) == RECORDS[name]


def test_every_kind_of_record_has_a_vector() -> None:
    kinds = {type(record) for record in RECORDS.values()}
    assert kinds == set(Record.__args__)
    assert set(json.loads(VECTORS.read_text())) == set(RECORDS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_of_another_format_or_with_more_or_less_is_malformed(name: str) -> None:
    payload = encode_record(RECORDS[name])
    for wrong in (b"\x02" + payload[1:], payload + b"\0", payload[:-1], payload[1:], b""):
        with pytest.raises(PeerError):
            decode_record(wrong)


def test_names_that_are_not_in_normal_form_c_are_malformed() -> None:
    decomposed = b"\x01" + msgspec.msgpack.encode([7, [1, 1], FOLDER, "Gru\u0308sse"])
    with pytest.raises(MalformedPacket):
        decode_record(decomposed)


def test_a_record_names_only_so_many_mails() -> None:
    most = Expunge(tuple(number.to_bytes(16, "big") for number in range(NAMES_PER_RECORD_MAX)))
    assert decode_record(encode_record(most)) == most
    too_many = b"\x01" + msgspec.msgpack.encode([5, [*most.placements, EMAIL]])
    with pytest.raises(MalformedPacket):
        decode_record(too_many)


def test_a_record_that_could_not_be_read_back_is_never_written() -> None:
    with pytest.raises(PeerError):
        encode_record(Expunge((b"too short",)))


def test_a_long_record_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(LimitExceeded):
        decode_record(b"\x01" + bytes(RECORD_BYTES_MAX + 1))


if __name__ == "__main__":
    vectors = {name: encode_record(record).hex() for name, record in RECORDS.items()}
    VECTORS.write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n")
