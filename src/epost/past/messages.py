"""What nodes say to each other about blocks (Application.PAST).

Requests come from stories and are answered; maintenance goes by notifications between replicas; a
replica-set query is routed to the root of a key, which answers the asker directly.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.foundation.codec import Format
from epost.foundation.ids import (
    U32,
    U63,
    Bytes20,
    Handle,
    NodeHandle,
)
from epost.foundation.wire import MESSAGE_SIZE_MAX
from epost.past.attestations import ATTESTATION_SIZE_MAX
from epost.past.blocks import CONTENT_SIZE_MAX, PROOF_SIZE_MAX
from epost.past.config import HANDLES_MAX, ROWS_MAX, SET_SIZE_MAX
from epost.past.log_format import CLUSTER_SIZE_MAX
from epost.past.tickets import VOUCHER_SIZE_MAX

MARK_BYTES = 8
WANTED_MAX = 16
ROUTED_SIZE_MAX = 64
RENEWAL_SIZE_MAX = 64 + 40 * HANDLES_MAX

SPANS_MAX = 8
"""Ranges compared in one message."""

PARTS_MAX = 16
"""Parts of one range (`Arc.parts`)."""

Body = Annotated[bytes, msgspec.Meta(max_length=CONTENT_SIZE_MAX)]
Proof = Annotated[bytes, msgspec.Meta(max_length=PROOF_SIZE_MAX)]
Voucher = Annotated[bytes, msgspec.Meta(max_length=VOUCHER_SIZE_MAX)]
Attestation = Annotated[bytes, msgspec.Meta(max_length=ATTESTATION_SIZE_MAX)]
Handles = Annotated[tuple[Handle, ...], msgspec.Meta(max_length=HANDLES_MAX)]
Nonce = Annotated[bytes, msgspec.Meta(max_length=16)]
Digest32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Put(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Store this block; `proof` is a cluster's head."""

    handle: Handle
    block: Body
    proof: Proof
    voucher: Voucher


class Extend(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Append records to a cluster (they may be its first); the head proves the right to."""

    cluster: Handle
    suffix: Annotated[bytes, msgspec.Meta(max_length=CLUSTER_SIZE_MAX)]
    head: Proof
    voucher: Voucher


class Fetch(msgspec.Struct, tag=3, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Return a block; with a nonce (of 16 bytes) also a signed statement of its version."""

    handle: Handle
    nonce: Nonce


class Has(msgspec.Struct, tag=4, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which of these blocks do you hold?"""

    handles: Handles


Request = Put | Extend | Fetch | Has


class Accepted(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The block is durable here. The attestation is `stored` for mutable blocks, `deposit` for
    pending notices, else empty."""

    attestation: Attestation


class Settled(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The recipient has signed for this notice already: it need not be kept."""


class Differs(msgspec.Struct, tag=3, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Something that is not older is stored: the block that is, and its rival if there are two.

    For a cluster it is the head. In a conflict the offered block does not follow the stored one;
    otherwise it is older.
    """

    is_conflict: bool
    blocks: Annotated[tuple[Proof, ...], msgspec.Meta(min_length=1, max_length=2)]


class Incomplete(msgspec.Struct, tag=4, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Earlier records of the cluster are missing here: send it whole."""


class Found(msgspec.Struct, tag=5, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The block asked for, with a cluster's head."""

    block: Body
    proof: Proof
    is_catching_up: bool
    statement: Attestation


class Absent(msgspec.Struct, tag=6, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The block is not here; a node that is catching up may only not have it yet."""

    is_catching_up: bool
    statement: Attestation


class Holds(msgspec.Struct, tag=7, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Those of the blocks asked about that are here."""

    handles: Handles


class Candidates(msgspec.Struct, tag=8, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The live nodes closest to a key, closest first, as its root knows them."""

    nodes: Annotated[tuple[NodeHandle, ...], msgspec.Meta(max_length=SET_SIZE_MAX)]


class Elsewhere(msgspec.Struct, tag=9, frozen=True, array_like=True, forbid_unknown_fields=True):
    """There was no room for the block here; this neighbour keeps it."""

    holder: NodeHandle


class OnTheWay(msgspec.Struct, tag=10, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The look-up need not go on to the root: this node holds the block, or a cached copy."""

    holder: NodeHandle


Reply = (
    Accepted
    | Settled
    | Differs
    | Incomplete
    | Found
    | Absent
    | Holds
    | Candidates
    | Elsewhere
    | OnTheWay
)


class ReplicaSetQuery(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Routed to the root of a key, which answers call `call_id` of the asker."""

    call_id: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    size: Annotated[int, msgspec.Meta(ge=1, le=SET_SIZE_MAX)]


class LookupQuery(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Routed to the root of a content block as a ReplicaSetQuery is, and answered like one, unless
    a node on the way has the block.

    Version 1 has no such query and lets it end in silence: whoever asks sends the other one, too.
    """

    call_id: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    size: Annotated[int, msgspec.Meta(ge=1, le=SET_SIZE_MAX)]
    handle: Handle


class Renewal(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Routed to the root of the first block: prolong the leases of those near it, pass on the rest.

    Handles are in the order of the ring, as it goes round from the first. There is no answer.
    """

    handles: Handles
    until: U63


class Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One block that a node holds; `mark` begins its body hash."""

    handle: Handle
    version: U63
    mark: Annotated[bytes, msgspec.Meta(max_length=MARK_BYTES)]


Rows = Annotated[tuple[Row, ...], msgspec.Meta(max_length=ROWS_MAX)]


Place = Annotated[int, msgspec.Meta(ge=0, le=SPANS_MAX - 1)]


class Span(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The fingerprint of what a node holds on the arc (start, end]."""

    start: Bytes20
    end: Bytes20
    digest: Digest32


class Summary(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the sender holds of what both should hold: where does the receiver hold other?"""

    serial: U32
    spans: Annotated[tuple[Span, ...], msgspec.Meta(min_length=1, max_length=SPANS_MAX)]


class Parts(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The fingerprints of the parts of one span (`Arc.parts`), as the answering node holds them."""

    span: Place
    digests: Annotated[tuple[Digest32, ...], msgspec.Meta(min_length=2, max_length=PARTS_MAX)]


class Listing(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All that the answering node holds on one span."""

    span: Place
    rows: Rows


class Compared(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer to a summary; on spans that it does not mention both hold the same."""

    serial: U32
    parts: Annotated[tuple[Parts, ...], msgspec.Meta(max_length=SPANS_MAX)]
    listings: Annotated[tuple[Listing, ...], msgspec.Meta(max_length=SPANS_MAX)]


class Offer(msgspec.Struct, tag=3, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Blocks that the receiver should hold, for it to fetch what it lacks."""

    serial: U32
    rows: Rows


class Have(msgspec.Struct, tag=4, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Those of an offer that are here already, at least as new."""

    serial: U32
    handles: Annotated[tuple[Handle, ...], msgspec.Meta(max_length=ROWS_MAX)]


class Want(msgspec.Struct, tag=5, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Please give these."""

    handles: Annotated[tuple[Handle, ...], msgspec.Meta(max_length=WANTED_MAX)]


class Give(msgspec.Struct, tag=6, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A block that was wanted, with its head and its inserter's voucher."""

    handle: Handle
    block: Body
    proof: Proof
    voucher: Voucher


class Gone(msgspec.Struct, tag=7, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A block that was wanted cannot be given."""

    handle: Handle


Upkeep = Summary | Compared | Offer | Have | Want | Give | Gone

REQUEST: Format[Request] = Format(Request, size_max=MESSAGE_SIZE_MAX)
REPLY: Format[Reply] = Format(Reply, size_max=MESSAGE_SIZE_MAX)
UPKEEP: Format[Upkeep] = Format(Upkeep, size_max=MESSAGE_SIZE_MAX)
REPLICA_SET_QUERY: Format[ReplicaSetQuery] = Format(ReplicaSetQuery, size_max=ROUTED_SIZE_MAX)
ROUTED: Format[LookupQuery | Renewal] = Format(LookupQuery | Renewal, size_max=RENEWAL_SIZE_MAX)
_ARRAY_OF_TWO = 0x92
"""How a ReplicaSetQuery, which has no tag, begins."""


def read_routed(body: bytes) -> ReplicaSetQuery | LookupQuery | Renewal:
    """Decode what is routed to a root; raises PeerError."""
    if body[:1] == bytes((_ARRAY_OF_TWO,)):
        return REPLICA_SET_QUERY.decode(body)
    return ROUTED.decode(body)
