"""Cuts a mail into a skeleton and parts that are stored apart, and puts it together again.

The skeleton holds headers, boundaries and small parts as they stand, and says how each other part
is to be written; `join(split(octets))` is always `octets`. A base64 body whose wrapping is regular
is stored decoded, so that one file attached by different programs is one part (paper 4.2: MIME
parts are stored separately). Anything else is stored as it stands: a mail that cannot be taken
apart is one literal part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX
from epost.apps.mail.mime import base64_layout
from epost.apps.mail.mime.base64_layout import Base64Layout, Base64Writer
from epost.apps.mail.mime.structure import PARTS_MAX, Part, PartKind, Span, parse_structure
from epost.foundation.codec import Format
from epost.foundation.errors import MalformedPacket
from epost.foundation.octets import Octets, excerpt

PART_THRESHOLD_BYTES = 1024
LITERAL_RUN_BYTES_MAX = 32 * 1024  # longer headers or preambles become parts of their own
SLOTS_MAX = 2 * PARTS_MAX
SKELETON_BYTES_MAX = 8 * 2**20  # with 128 parts, 129 literals of LITERAL_RUN_BYTES_MAX

Size = Annotated[int, msgspec.Meta(ge=0, le=MAIL_SIZE_BYTES_MAX)]


class Slot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How one part stands in the mail; `line_length` 0: one line, or not base64."""

    size: Size  # octets of the stored part
    is_base64: bool
    line_length: Annotated[int, msgspec.Meta(ge=0, le=base64_layout.LINE_LENGTH_MAX)]
    is_crlf: bool


class Skeleton(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Literal octets and slots, alternating, beginning and ending with a literal."""

    format: Literal[1]
    size: Size  # octets of the mail
    literals: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=SLOTS_MAX + 1)]
    slots: Annotated[tuple[Slot, ...], msgspec.Meta(max_length=SLOTS_MAX)]


SKELETONS: Format[Skeleton] = Format(Skeleton, size_max=SKELETON_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part to be stored apart; `is_attachment` guides the choice of the storage mode."""

    octets: Octets
    is_attachment: bool


@dataclass(frozen=True, slots=True)
class SplitMail:
    """A mail cut apart; the parts are in the order of the skeleton's slots."""

    skeleton: Skeleton
    parts: tuple[StoredPart, ...]


@dataclass(frozen=True, slots=True)
class _Cut:
    """Octets of the mail that leave the skeleton."""

    span: Span
    slot: Slot
    part: StoredPart


def split(
    octets: Octets, structure: Part | None = None, *, threshold_bytes: int = PART_THRESHOLD_BYTES
) -> SplitMail:
    """Cut a mail at its leaf bodies of at least `threshold_bytes`.

    `structure` may be passed if it is known already. Takes about 50 ms for 25 MB: not for the
    event loop.
    """
    if len(octets) > MAIL_SIZE_BYTES_MAX:
        raise ValueError(f"a mail of {len(octets)} bytes is over {MAIL_SIZE_BYTES_MAX}")
    bodies = _body_cuts(octets, structure or parse_structure(octets), threshold_bytes)
    cuts = tuple(_with_long_literals(octets, bodies))
    literals, at = [], 0
    for cut in cuts:
        literals.append(octets[at : cut.span.start])
        at = cut.span.end
    literals.append(octets[at:])
    skeleton = Skeleton(
        format=1,
        size=len(octets),
        literals=tuple(literals),
        slots=tuple(cut.slot for cut in cuts),
    )
    return SplitMail(skeleton, tuple(cut.part for cut in cuts))


def join(skeleton: Skeleton, parts: Sequence[bytes]) -> bytes:
    """Return the exact octets of the mail; raises MalformedPacket if the parts do not fit.

    All sizes are checked before anything is put together, so a forged skeleton costs nothing.
    """
    check(skeleton)
    if [len(part) for part in parts] != [slot.size for slot in skeleton.slots]:
        raise MalformedPacket("the parts are not those of the skeleton")
    pieces = [skeleton.literals[0]]
    for slot, part, literal in zip(skeleton.slots, parts, skeleton.literals[1:], strict=True):
        pieces += (_written(slot, part), literal)
    return b"".join(pieces)


class SlotWriter:
    """Writes the octets of one slot, whose part comes bit by bit."""

    def __init__(self, slot: Slot) -> None:
        self._base64 = Base64Writer(_layout(slot)) if slot.is_base64 else None

    def feed(self, octets: bytes) -> bytes:
        """Return what can be written of it now."""
        return octets if self._base64 is None else self._base64.feed(octets)

    def finish(self) -> bytes:
        """Return the rest."""
        return b"" if self._base64 is None else self._base64.finish()


def check(skeleton: Skeleton) -> None:
    """Raise MalformedPacket unless literals, slots and sizes agree with each other."""
    if len(skeleton.literals) != len(skeleton.slots) + 1:
        raise MalformedPacket("a skeleton needs one literal more than it has slots")
    for slot in skeleton.slots:
        has_lines = slot.line_length > 0
        if (has_lines and not slot.is_base64) or (slot.is_crlf and not has_lines):
            raise MalformedPacket("a slot has a line length or line ends without lines")
    size = sum(map(len, skeleton.literals)) + sum(map(_written_size, skeleton.slots))
    if size != skeleton.size:
        raise MalformedPacket("the size of the skeleton is not that of its pieces")


def _body_cuts(octets: Octets, structure: Part, threshold_bytes: int) -> Iterator[_Cut]:
    for leaf in structure.leaves():
        if len(leaf.body) >= max(threshold_bytes, 1):
            yield _cut_leaf(octets, leaf)


def _cut_leaf(octets: Octets, leaf: Part) -> _Cut:
    is_attachment = leaf.content.is_attachment
    if leaf.kind is PartKind.LEAF and leaf.content.encoding == "base64":
        found = base64_layout.recognise(octets, leaf.body.start, leaf.body.end)
        if found is not None:
            start, layout = found.offset, found.layout
            slot = Slot(len(found.decoded), True, layout.line_length, layout.is_crlf)
            span = Span(start, start + layout.written_size(len(found.decoded)))
            return _Cut(span, slot, StoredPart(found.decoded, is_attachment))
    return _literal_cut(octets, leaf.body, is_attachment=is_attachment)


def _literal_cut(octets: Octets, span: Span, *, is_attachment: bool) -> _Cut:
    slot = Slot(len(span), is_base64=False, line_length=0, is_crlf=False)
    return _Cut(span, slot, StoredPart(excerpt(octets, span.start, span.end), is_attachment))


def _with_long_literals(octets: Octets, cuts: Iterator[_Cut]) -> Iterator[_Cut]:
    """Cut out what would make the skeleton long: endless headers, preambles, undivided mails."""
    at = 0
    for cut in cuts:
        if cut.span.start - at > LITERAL_RUN_BYTES_MAX:
            yield _literal_cut(octets, Span(at, cut.span.start), is_attachment=False)
        yield cut
        at = cut.span.end
    if len(octets) - at > LITERAL_RUN_BYTES_MAX:
        yield _literal_cut(octets, Span(at, len(octets)), is_attachment=False)


def _written(slot: Slot, part: bytes) -> bytes:
    return _layout(slot).write(part) if slot.is_base64 else part


def _written_size(slot: Slot) -> int:
    return _layout(slot).written_size(slot.size) if slot.is_base64 else slot.size


def _layout(slot: Slot) -> Base64Layout:
    return Base64Layout(slot.line_length, slot.is_crlf)
