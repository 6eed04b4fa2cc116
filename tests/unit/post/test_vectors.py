"""Golden bytes of every format of this package: what is stored today is read for ever.

`tests/vectors/post.json` holds the bytes. What can be made from fixed inputs must come out equal;
what is randomised must still open.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from epost.crypto.hashing import derive
from epost.crypto.sealing import HpkeSealing, key_id
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import open_key_block
from epost.foundation.codec import encode
from epost.foundation.ids import Address, NodeHandle
from epost.past.log_format import LOG_RECORD, head_of
from epost.past.pending import ENVELOPE, ReceiptStatus, pending_handle
from epost.post.accounts.blocks import decode_device_info, decode_identity
from epost.post.accounts.devices import DEVICE_SECRETS, AccountKeys, Device
from epost.post.accounts.keyring import EpochSecret, make_keyring, open_keyring
from epost.post.accounts.new_devices import create_account
from epost.post.app_ids import AppId
from epost.post.logs.chain import Position, SealedNote, sign_head
from epost.post.logs.entries import Entry, open_record, seal_record
from epost.post.messages import (
    POST_MESSAGE,
    POST_NOTIFICATION,
    Answered,
    Deliver,
    Grew,
    Kept,
    Settle,
)
from epost.post.notification import receipts
from epost.post.notification.notices import (
    Notice,
    decode_signed_notice,
    open_envelope,
    seal_notice,
    sign_notice,
    verify_notice,
)
from epost.post.notification.presence import Presence, group_of, sign_presence
from epost.post.notification.records import (
    POST_RECORD,
    DeliveryState,
    Outgoing,
    OutgoingNotice,
    Progressed,
    Received,
    Step,
    Warned,
)
from epost.post.storage import frames
from epost.post.storage.message_store import Chunk, Manifest, organisation_convergence
from epost.post.storage.references import Reference, Secrecy

VECTORS = Path(__file__).parents[2] / "vectors" / "post.json"
SEED = bytes(range(32))
AT = 1_800_000_000_000
DATA_KEYS = (EpochSecret(1, b"1" * 32), EpochSecret(2, b"2" * 32))
NODE = NodeHandle(b"r" * 20, b"n" * 20, (Address("127.0.0.1", 4000),))


class Counter:
    """Entropy that counts: every vector can be made again by anybody."""

    def __init__(self) -> None:
        self.drawn = 0

    def token(self, size: int) -> bytes:
        self.drawn += 1
        return derive(SEED, "vector", self.drawn.to_bytes(8, "big")).key[:size]


def device() -> Device:
    new = create_account(SEED, contact=NODE, now_ms=AT, sealing=HpkeSealing(), entropy=Counter())
    return Device(new.secrets, account_certificate=b"account", sealing=HpkeSealing())


def notice() -> Notice:
    return Notice(1, b"i" * 16, b"f" * 32, 1, b"t" * 32, AT, AT + 1000, AppId.MAIL, b"hello")


def signed_notice() -> bytes:
    return sign_notice(
        notice(), SigningKey(SEED), account_certificate=b"a", device_certificate=b"d"
    )


def record(sequence: int = 1, previous: bytes = bytes(32)) -> bytes:
    return seal_record(
        Entry(AppId.MAIL, b"inserted"), log_key=SigningKey(SEED).public, data_key=SEED, epoch=1,
        sequence=sequence, previous=previous, salt=b"s" * 16,
    )  # fmt: skip


def head(*, tail: bool) -> bytes:
    position = Position().after(record())
    return sign_head(
        SigningKey(SEED), position, incarnation=b"i" * 16, tail=[record()] if tail else [],
        note=SealedNote(1), ring=b"r" * 20, previous=None, issued_at=AT,
    ).data  # fmt: skip


def fixed() -> dict[str, bytes]:
    """Everything that fixed inputs determine."""
    keys = AccountKeys(SEED)
    new = create_account(SEED, contact=NODE, now_ms=AT, sealing=HpkeSealing(), entropy=Counter())
    presence = Presence(keys.account_id, 1, NODE, AT, AT)
    receipt = receipts.sign(device(), b"p" * 32, ReceiptStatus.ACCEPTED, AT)
    reference = Reference(b"d" * 32, b"k" * 32, Secrecy.UNIQUE, 0, 3)
    manifest = Manifest(1, 5, b"h" * 32, 1 << 20, (Chunk(b"d" * 32, b"k" * 32),))
    outgoing = Outgoing(
        b"m" * 16, 1, AT, AT + 1000, (b"hello",), (OutgoingNotice("bob@example.org", b"i" * 16, 0),)
    )
    step = Step(b"m" * 16, 0, DeliveryState.DELIVERED, AT, b"", b"receipt")
    received = Received(b"f" * 32, b"i" * 16, ReceiptStatus.ACCEPTED, AT, AT + 1000)
    framed = frames.encode_frame(b"abc")
    key = frames.convergent_key(organisation_convergence(bytes(32)), framed)
    return {
        "account key": keys.account.public,
        "recovery key": keys.recovery.public,
        "recovery sealing seed": keys.recovery_sealing_seed,
        "account id": keys.account_id,
        "group": group_of(keys.account_id),
        "device secrets": encode(new.secrets),
        "device certificate": new.device_certificate,
        "device block content": new.device_block.body.content,
        "log key": device().log_key(new.secrets.incarnation).public,
        "log data key": device().log_data_key(b"l" * 32, 1) or b"",
        "frame raw": framed,
        "block": frames.seal_frame(key, framed),
        "frame zstd head": frames.encode_frame(bytes(10_000))[:17],
        "manifest": encode(manifest),
        "reference": encode(reference),
        "record": record(),
        "head with tail": head(tail=True),
        "head of cluster": head(tail=False),
        "notice": encode(notice()),
        "signed notice": signed_notice(),
        "receipt": receipt,
        "presence": sign_presence(
            presence, SigningKey(SEED), account_certificate=b"a", device_certificate=b"d"
        ),
        "record outgoing": encode(outgoing),
        "record progressed": encode(Progressed((step,))),
        "record received": encode(received),
        "record warned": encode(Warned(b"m" * 16, 0, AT)),
        "message deliver": encode(Deliver(b"envelope")),
        "message settle": encode(Settle(b"receipt")),
        "message grew": encode(Grew(2)),
        "message kept": encode(Kept(b"e" * 32)),
        "message answered": encode(Answered(b"receipt")),
    }


def randomised() -> dict[str, bytes]:
    """What is different each time; kept once, opened for ever."""
    sealing = HpkeSealing()
    readers = [sealing.public_key(SEED)]
    keyring = make_keyring(AccountKeys(SEED).account_id, DATA_KEYS, readers, sealing)
    envelope = seal_notice(
        signed_notice(), to_ring=b"r" * 20, to_account=b"t" * 32, expires_at=AT + 1000,
        sealing_keys=[sealing.public_key(SEED)], sealing=sealing, entropy=Counter(),
    )  # fmt: skip
    new = create_account(SEED, contact=NODE, now_ms=AT, sealing=sealing, entropy=Counter())
    return {
        "keyring": keyring,
        "envelope": envelope.envelope,
        "identity block": new.identity.data,
    }


def write_vectors() -> None:
    """Run by hand when a format is added; never to change one."""
    vectors = {name: data.hex() for name, data in {**fixed(), **randomised()}.items()}
    VECTORS.write_text(json.dumps(vectors, indent=1) + "\n")


@pytest.fixture(scope="module")
def golden() -> dict[str, bytes]:
    known: dict[str, Any] = json.loads(VECTORS.read_text())
    return {name: bytes.fromhex(data) for name, data in known.items()}


@pytest.mark.parametrize("name", sorted(fixed()))
def test_fixed_inputs_give_the_golden_bytes(name: str, golden: dict[str, bytes]) -> None:
    assert fixed()[name].hex() == golden[name].hex()


def test_golden_envelopes_open(golden: dict[str, bytes]) -> None:
    sealing = HpkeSealing()
    envelope = ENVELOPE.decode(golden["envelope"])
    mine = key_id(sealing.public_key(SEED))
    opened = open_envelope(envelope, lambda wanted: SEED if wanted == mine else None, sealing)
    assert verify_notice(decode_signed_notice(opened), SigningKey(SEED).public) == notice()
    assert len(pending_handle(golden["envelope"]).digest) == 32


def test_golden_keyrings_open(golden: dict[str, bytes]) -> None:
    sealing, account_id = HpkeSealing(), AccountKeys(SEED).account_id
    public_key = sealing.public_key(SEED)
    opened = open_keyring(
        golden["keyring"], account_id, public_key=public_key, seed=SEED, sealing=sealing
    )
    assert opened == DATA_KEYS


def test_golden_blocks_verify_and_decode(golden: dict[str, bytes]) -> None:
    identity = decode_identity(open_key_block(golden["identity block"]).body.content)
    assert identity.account_id == AccountKeys(SEED).account_id
    assert decode_device_info(golden["device block content"]).contact == NODE
    for name in ("head with tail", "head of cluster"):
        assert head_of(open_key_block(golden[name])).content.sequence == 1
    entry = open_record(LOG_RECORD.decode(golden["record"]), SEED)
    assert entry == Entry(AppId.MAIL, b"inserted")
    assert DEVICE_SECRETS.decode(golden["device secrets"]) == device().secrets
    for name in ("record outgoing", "record progressed", "record received", "record warned"):
        assert encode(POST_RECORD.decode(golden[name])) == golden[name]
    for name in ("message deliver", "message settle"):
        assert encode(POST_MESSAGE.decode(golden[name])) == golden[name]
    kept = golden["message kept"]
    assert encode(POST_NOTIFICATION.decode(kept)) == kept
