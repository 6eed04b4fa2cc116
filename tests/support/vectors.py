"""Golden bytes of every format of `rings` and `past`, made of fixed keys (crypto 12, row 44)."""

from __future__ import annotations

from epost.crypto.signing import Kind
from epost.crypto.versioned import make_key_block
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import Address
from epost.past.attestations import Attestor, Deposit, Statement, Stored
from epost.past.blocks import certificate_handle, content_handle
from epost.past.leases.words import Prolong
from epost.past.messages import (
    Absent,
    Accepted,
    Candidates,
    Compared,
    Differs,
    Extend,
    Fetch,
    Found,
    Give,
    Gone,
    Has,
    Have,
    Holds,
    Incomplete,
    Listing,
    LookupQuery,
    Offer,
    OnTheWay,
    Parts,
    Put,
    Renewal,
    ReplicaSetQuery,
    Row,
    Settled,
    Span,
    Summary,
    Want,
)
from epost.past.pending import PendingMark, ReceiptMark, ReceiptStatus, pending_handle
from epost.past.tickets import Ticketing
from epost.rings.invite import Invite
from epost.rings.messages import Ask, Held, News, Numbers
from epost.rings.policy import Revocation
from tests.support.logs import Log
from tests.support.notices import envelope_for, receipt_by
from tests.support.organisation import START_MS, Organisation, key_of

ORG = Organisation()
NODE = ORG.node("ann")
USER = ORG.user("alice")
CONTENT = b"the bytes of a content-hash block"
HANDLE = content_handle(CONTENT)


def ring_vectors() -> dict[str, bytes]:
    """Return the formats of `rings` by name."""
    revoked = (Revocation(b"a" * 16, 1, START_MS), Revocation(b"b" * 16, 2, START_MS))
    held = (Held(ORG.root.public, 1), Held(ORG.issuer_key.public, 2))
    return {
        "organisation certificate": ORG.certificate,
        "issuer certificate": ORG.issuer_certificate,
        "node certificate": NODE.certificate,
        "account certificate": USER.account_certificate,
        "device certificate": USER.device_certificate,
        "root block": ORG.root_block().data,
        "issuer block": ORG.issuer_block(ORG.policy(), revoked=revoked).data,
        "numbers": encode(Numbers(held)),
        "ask": encode(Ask((ORG.root.public,))),
        "news": encode(News(b"block")),
        "invite": str(
            Invite(b"f" * 16, b"t" * 16, START_MS, (Address("192.0.2.1", 4100),), "a@example.org")
        ).encode(),
    }


def block_vectors() -> dict[str, bytes]:
    """Return the formats of stored blocks, and of what proves them, by name."""
    log = Log(key_of("log"))
    log.append(b"first", b"second")
    head = log.head(tail=1)
    envelope = envelope_for(USER)
    key_block = make_key_block(
        USER.key, Kind.IDENTITY, ring=ORG.ring, previous=None, issued_at=START_MS, content=b"hello"
    )
    return {
        "content handle": encode(HANDLE),
        "public-key block": key_block.data,
        "public-key handle": encode(key_block.handle),
        "certificate handle": encode(certificate_handle("alice@example.org")),
        "log record": log.records[0],
        "log head": head.data,
        "cluster": log.body,
        "cluster handle": encode(log.cluster),
        "pending": envelope,
        "pending handle": encode(pending_handle(envelope)),
        "pending mark": encode(PendingMark(USER.account.account_id, START_MS)),
        "receipt": receipt_by(USER, envelope),
        "receipt mark": encode(
            ReceiptMark(USER.account.account_id, ReceiptStatus.ACCEPTED, START_MS)
        ),
    }


def attested_vectors() -> dict[str, bytes]:
    """Return the signed statements about blocks by name."""
    attestor = Attestor(NODE.key, NODE.certificate)
    ticketing = Ticketing(NODE.key, NODE.certificate, ORG.ring)
    return {
        "voucher": ticketing.voucher(
            [(HANDLE, len(CONTENT))], now_ms=START_MS, lease_until=START_MS + 400 * DAY_MS
        ),
        "stored": attestor.stored(Stored(1, HANDLE, 3, b"h" * 32, START_MS + DAY_MS, START_MS)),
        "statement": attestor.statement(Statement(1, b"n" * 16, HANDLE, 0, b"", START_MS)),
        "deposit": attestor.deposit(Deposit(1, b"p" * 32, START_MS + DAY_MS, START_MS)),
    }


def message_vectors() -> dict[str, bytes]:
    """Return the messages of PAST by name."""
    row = Row(HANDLE, 7, b"marked!!")
    start, end = bytes(20), b"\xff" * 20
    messages = {
        "put": Put(HANDLE, CONTENT, b"", b"voucher"),
        "extend": Extend(HANDLE, b"suffix", b"head", b"voucher"),
        "fetch": Fetch(HANDLE, b"n" * 16),
        "has": Has((HANDLE,)),
        "accepted": Accepted(b"attestation"),
        "settled": Settled(),
        "differs": Differs(True, (b"one", b"other")),
        "incomplete": Incomplete(),
        "found": Found(CONTENT, b"", False, b"statement"),
        "absent": Absent(True, b""),
        "holds": Holds((HANDLE,)),
        "candidates": Candidates((NODE.handle,)),
        "replica-set query": ReplicaSetQuery(b"call id!", 5),
        "look-up query": LookupQuery(b"call id!", 5, HANDLE),
        "on the way": OnTheWay(NODE.handle),
        "renewal": Renewal((HANDLE,), START_MS),
        "prolong": Prolong((HANDLE,), START_MS),
        "summary": Summary(1, (Span(start, end, b"d" * 32),)),
        "agreed": Compared(1, (), ()),
        "compared": Compared(1, (Parts(0, (b"e" * 32,) * 2),), (Listing(1, (row,)),)),
        "offer": Offer(1, (row,)),
        "have": Have(1, (HANDLE,)),
        "want": Want((HANDLE,)),
        "give": Give(HANDLE, CONTENT, b"", b"voucher"),
        "gone": Gone(HANDLE),
    }
    return {name: encode(message) for name, message in messages.items()}


def all_vectors() -> dict[str, dict[str, str]]:
    """Return everything in hexadecimal digits, by file and name."""
    groups = {
        "rings": ring_vectors(),
        "past_blocks": block_vectors(),
        "past_attestations": attested_vectors(),
        "past_messages": message_vectors(),
    }
    return {
        group: {name: data.hex() for name, data in vectors.items()}
        for group, vectors in groups.items()
    }
