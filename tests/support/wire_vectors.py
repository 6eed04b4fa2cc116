"""Golden bytes of the formats that no other vectors cover, made of fixed inputs.

Run this module (`python -m tests.support.wire_vectors`) to write tests/vectors anew after a
deliberate change of a format; the bytes of released versions never change.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from epost.apps.mail.delivery.notice import InNotice, InStore, MailNotice
from epost.apps.mail.mime.skeleton import split
from epost.crypto.boxes import box, pad
from epost.crypto.certificates import DEVICE_CERT, certify
from epost.crypto.hashing import derive, digest, frame
from epost.crypto.keyfile import lock
from epost.crypto.sealing import HpkeSealing, key_id
from epost.crypto.signed import parse, sign
from epost.crypto.signing import Kind, SigningKey
from epost.daemon.folder import FirstBlock, Membership
from epost.daemon.tls import frames
from epost.daemon.tls.frames import CloseReason, Frame
from epost.daemon.tls.hello import RingNews, make_hello
from epost.foundation.codec import encode
from epost.foundation.ids import Address, BlockKind, NodeHandle
from epost.foundation.wire import Application, Form, Refusal, RefusalCode, pack
from epost.pastry import messages as pastry
from epost.pastry.messages import Standing
from epost.post.storage.frames import convergent_key
from epost.post.storage.message_store import organisation_convergence
from epost.post.storage.references import Reference, Secrecy
from epost.rings.enrolment import (
    MemberRequest,
    StorageRequest,
    make_greeting,
    request_hash,
    sealing_key_hash,
    sign_member_request,
    sign_storage_request,
)
from epost.rings.invite import token_hash
from epost.scribe import messages as scribe
from epost.scribe.charter import (
    Charter,
    Mark,
    chartered_group,
    sign_charter,
    sign_permit,
    sign_publication,
)
from tests.support.organisation import START_MS, Organisation, key_of
from tests.support.vectors import NODE as MEMBER

FOLDER = Path(__file__).parents[1] / "vectors"
SEED = bytes(range(32))
RING, ID, GROUP = b"r" * 20, b"n" * 20, b"g" * 20
NODE = NodeHandle(RING, ID, (Address("192.0.2.1", 4510),))
MAIL = (
    b"From: alice@example.org\r\nContent-Type: application/pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nAAECAwQF\r\nBgcICQ==\r\n"
)


class Counter:
    """Entropy that counts: every vector can be made again by anybody."""

    def __init__(self) -> None:
        self._drawn = 0

    def token(self, size: int) -> bytes:
        self._drawn += 1
        return derive(SEED, "vector", self._drawn.to_bytes(8, "big")).key[:size]


def primitive_vectors() -> dict[str, bytes]:
    """Return what everything else is made of, from the key 00 01 .. 1f."""
    key = SigningKey(SEED)
    signed = sign(key, Kind.TICKET, b"body")
    derived = derive(SEED, "rec", b"part", b"")
    return {
        "framing": frame("blk/name", b"alice@example.org"),
        "digest": digest("blk/name", b"alice@example.org"),
        "derived key": derived.key,
        "derived commitment": derived.commitment,
        "convergence secret": organisation_convergence(bytes(32)),
        "convergent key": convergent_key(organisation_convergence(bytes(32)), bytes(256)),
        "pad": pad(b"plaintext"),
        "box": box(SEED, b"associated", b"plaintext"),
        "public key": key.public,
        "signed object": signed,
        "sealing key id": key_id(HpkeSealing().public_key(SEED)),
    }


def link_vectors() -> dict[str, bytes]:
    """Return the frames of a link and the envelopes of messages."""
    refusal = encode(Refusal(RefusalCode.LATER, "too much is waiting here"))
    first = frames.FIRST.pack(1, 65_537) + b"begin"
    return {
        "hello": make_hello(NODE, b"certificate", RingNews(7, 8, b"t" * 32), START_MS),
        "frame whole": frames.frame(Frame.WHOLE, b"message"),
        "frame first": frames.frame(Frame.FIRST, first),
        "frame more": frames.frame(Frame.MORE, frames.U32.pack(1) + b"go on"),
        "frame credit": frames.frame(Frame.CREDIT, frames.U32.pack(65_537)),
        "frame ping": frames.frame(Frame.PING),
        "frame close": frames.close_frame(CloseReason.DUPLICATE, "two links"),
        "notify": pack(Application.PASTRY, Form.NOTIFY, b"body"),
        "request": pack(Application.PAST, Form.REQUEST, b"body", 0x0102030405060708),
        "response": pack(Application.PAST, Form.RESPONSE, b"body", 0x0102030405060708),
        "refusal": pack(Application.PAST, Form.REFUSAL, refusal, 0x0102030405060708),
    }


def pastry_vectors() -> dict[str, bytes]:
    """Return every packet of the overlay."""
    leaves = (NODE,)
    packets = (
        pastry.Heartbeat(Standing.READY),
        pastry.Ping(5, Standing.FRESH),
        pastry.Pong(5, Standing.RESUMING),
        pastry.LeafSetProbe(6, Standing.READY, leaves),
        pastry.LeafSetReply(6, Standing.READY, leaves),
        pastry.FailureNotice((ID,)),
        pastry.Leaving(),
        pastry.RowRequest(3, False),
        pastry.Hints(leaves),
        pastry.JoinReply(leaves),
        pastry.Transit(7, b"m" * 16, NODE, b"k" * 20, Application.PAST, 1, b"body"),
        pastry.HopAck(7),
        pastry.RootSet(b"n" * 16, (pastry.Witnessed(NODE, b"certificate"),)),
        pastry.RootSetQuery(b"n" * 16),
    )
    return {type(packet).__name__: encode(packet) for packet in packets}


def scribe_vectors() -> dict[str, bytes]:
    """Return every packet of the groups, those of a chartered one signed with 00 01 .. 1f."""
    key = SigningKey(SEED)
    group = chartered_group(key.public, b"board")
    charter = Charter(1, key.public, b"board", 1, 1, (key.public,), (key.public,))
    publication = sign_publication(key, group, 1, b"news")
    mark, _ = msgspec.msgpack.decode(publication)
    packets = (
        scribe.JoinGroup(b""),
        scribe.Publish(b"m" * 16, b"news"),
        scribe.Adopted((scribe.Branch(GROUP, (ID,), 0),)),
        scribe.Refresh((GROUP,)),
        scribe.Disowned((GROUP,)),
        scribe.LeaveGroups((GROUP,)),
        scribe.Multicast(GROUP, b"m" * 16, b"news"),
        scribe.Terms(group, sign_charter(key, charter), (Mark(*mark),)),
        scribe.Estate(GROUP, (NODE,)),
        scribe.HandOver(GROUP, (NODE,)),
        scribe.Attach(group, sign_permit(key, group, ID, 1)),
        scribe.Anycast(GROUP, NODE, b"c" * 8, b"who?", (ID,), (NODE,)),
    )
    made = {type(packet).__name__: encode(packet) for packet in packets}
    return made | {"Publish signed": encode(scribe.Publish(b"m" * 16, publication))}


def enrolment_vectors() -> dict[str, bytes]:
    """Return what a new machine and the authority say to each other."""
    organisation = Organisation()
    storage = StorageRequest(1, b"t" * 16, MEMBER.key.public, START_MS)
    user = organisation.user("alice")
    sealing_key = HpkeSealing().public_key(SEED)
    device = DEVICE_CERT.decode(parse(user.device_certificate, Kind.DEVICE).body)
    device = msgspec.structs.replace(device, sealing_hash=sealing_key_hash(sealing_key))
    member = MemberRequest(
        format=1,
        token=b"t" * 16,
        name=user.account.name,
        account_key=user.key.public,
        recovery_key=key_of("alice/recovery").public,
        recovery_sealing_key=sealing_key,
        device=certify(user.key, device),
        device_sealing_key=sealing_key,
        node_key=MEMBER.key.public,
        at=START_MS,
    )
    signed = sign_storage_request(storage, node=MEMBER.key)
    return {
        "greeting": make_greeting(organisation.certificate, [organisation.issuer_certificate]),
        "storage request": signed,
        "request hash": request_hash(signed),
        "token hash": token_hash(b"t" * 16),
        "member request": sign_member_request(
            member, account=user.key, recovery=key_of("alice/recovery"), node=MEMBER.key
        ),
    }


def mail_vectors() -> dict[str, bytes]:
    """Return the formats of mails outside of the log."""
    reference = Reference(b"d" * 32, b"k" * 32, Secrecy.UNIQUE, 0, 70_000)
    basics = (1_700_000_000, 60, "alice@example.org", ("bob@example.org",), (), "Hi", "<1@x>")
    return {
        "notice with the mail": encode(MailNotice(1, *basics, InNotice(b"Subject: Hi\r\n\r\n"))),
        "notice with references": encode(MailNotice(1, *basics, InStore(70_000, reference, ()))),
        "mail": MAIL,
        "skeleton": encode(split(MAIL, threshold_bytes=1).skeleton),
    }


def folder_vectors() -> dict[str, bytes]:
    """Return the files of a data folder."""
    membership = Membership(
        1, b"organisation", (b"issuer",), b"node", b"", (b"authority",), b"leaf", b"root",
        (b"issuer block",), (FirstBlock(BlockKind.CERTIFICATE, b"account"),),
    )  # fmt: skip
    return {
        "key file": lock(SEED, "node", None, Counter()),
        "key file under a passphrase": lock(SEED, "device", "correct horse", Counter()),
        "membership": encode(membership),
    }


def all_vectors() -> dict[str, dict[str, bytes]]:
    """Return everything by file and name."""
    return {
        "primitives": primitive_vectors(),
        "links": link_vectors(),
        "pastry": pastry_vectors(),
        "scribe": scribe_vectors(),
        "enrolment": enrolment_vectors(),
        "mail_formats": mail_vectors(),
        "data_folder": folder_vectors(),
    }


if __name__ == "__main__":
    for file, made in all_vectors().items():
        digits = {name: data.hex() for name, data in made.items()}
        (FOLDER / f"{file}.json").write_text(json.dumps(digits, indent=1) + "\n")
