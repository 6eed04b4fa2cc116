"""What is too long for memory is read as if it were in memory, wherever it is cut into windows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from epost.apps.mail.mime import base64_layout, lines
from epost.apps.mail.mime.base64_layout import Base64Layout, Base64Writer
from epost.apps.mail.mime.lines import require_lines
from epost.apps.mail.mime.skeleton import SlotWriter, SplitMail, split
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.renditions.rendition import Rendition, make_rendition
from epost.foundation import octets as octets_module
from epost.foundation.errors import RefusedError
from epost.foundation.octets import Excerpt, Joined, Octets, windows
from epost.servers.pop3.lines import stuffed, top
from tests.properties.test_mime import MAILS

WINDOWS = st.integers(2, 80)
LINED = st.lists(st.sampled_from([b"a", b"\r\n", b"\r", b"\n", b"\0", b"xyz"]), max_size=40)


class OnDisk:
    """Octets that are not `bytes`; nobody may take all of a long mail at once."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def __len__(self) -> int:
        return len(self._octets)

    def __getitem__(self, key: slice, /) -> bytes:
        return self._octets[key]


@contextmanager
def small_windows(size: int) -> Iterator[None]:
    """Have everything cut into windows of a few octets."""
    places = [
        (octets_module, "WINDOW_BYTES", size),
        (lines, "WINDOW_BYTES", size),
        (base64_layout, "BLOCK_BYTES", size),
        (base64_layout, "KEPT_BYTES_MAX", size),
        (base64_layout, "_MARGIN_BYTES", size),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    try:
        for module, name, value in places:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def pieces_of(cut: SplitMail) -> list[tuple[bytes, bool]]:
    return [(part.octets[:], part.is_attachment) for part in cut.parts]


def are_lines(octets: Octets) -> bool:
    try:
        require_lines(octets, parse_structure(octets))
    except RefusedError:
        return False
    return True


@given(MAILS, WINDOWS, st.sampled_from([1, 16, 1024]))
def test_a_mail_has_the_same_parts_wherever_it_is_cut(
    mail: bytes, size: int, threshold_bytes: int
) -> None:
    structure = parse_structure(mail)
    cut = split(mail, structure, threshold_bytes=threshold_bytes)
    rendition: Rendition = make_rendition(mail, structure)
    with small_windows(size):
        assert parse_structure(OnDisk(mail)) == structure
        again = split(OnDisk(mail), threshold_bytes=threshold_bytes)
        assert again.skeleton == cut.skeleton
        assert pieces_of(again) == pieces_of(cut)
        assert make_rendition(OnDisk(mail)) == rendition


@given(MAILS, WINDOWS)
def test_a_mail_is_written_piece_by_piece_as_it_was(mail: bytes, size: int) -> None:
    cut = split(mail, threshold_bytes=1)
    written = [cut.skeleton.literals[0]]
    rest = zip(cut.skeleton.slots, cut.parts, cut.skeleton.literals[1:], strict=True)
    for slot, part, literal in rest:
        writer = SlotWriter(slot)
        written += map(writer.feed, windows(part.octets, size=size))
        written += (writer.finish(), literal)
    assert b"".join(written) == mail


@given(st.binary(max_size=400), st.lists(st.integers(0, 50)), st.integers(0, 90), st.booleans())
def test_base64_is_written_the_same_however_it_comes(
    octets: bytes, cuts: list[int], line_length: int, is_crlf: bool
) -> None:
    layout = Base64Layout(line_length, is_crlf and line_length > 0)
    writer, at, written = Base64Writer(layout), 0, []
    for size in cuts:
        written.append(writer.feed(octets[at : at + size]))
        at += size
    written += (writer.feed(octets[at:]), writer.finish())
    assert b"".join(written) == layout.write(octets)


@given(LINED.map(b"".join), WINDOWS)
def test_bare_line_ends_are_found_wherever_they_are_cut(mail: bytes, size: int) -> None:
    found = are_lines(mail)
    with small_windows(size):
        assert are_lines(OnDisk(mail)) == found


@given(LINED.map(b"".join), WINDOWS, st.integers(0, 9))
def test_pop3_shows_as_many_lines(mail: bytes, size: int, count: int) -> None:
    header = len(parse_structure(mail).header)
    with small_windows(size):
        found = top(OnDisk(mail), header, count)[:]
    assert found == mail[:header] + b"".join(re.findall(rb"[^\n]*\n|[^\n]+", mail[header:])[:count])


@given(st.lists(st.binary(max_size=9), max_size=6), st.slices(60), st.data())
def test_slices_of_what_is_joined_or_cut_out_are_right(
    parts: list[bytes], key: slice, data: st.DataObject
) -> None:
    key = slice(key.start, key.stop)
    whole = b"".join(parts)
    assert Joined(parts)[key] == whole[key]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    assert Excerpt(Joined(parts), start, end)[key] == whole[start:end][key]


def test_dots_are_doubled_in_what_lies_on_disk() -> None:
    mail = b".a\r\n.b\r\n" * 100_000
    assert b"".join(stuffed(OnDisk(mail))) == b"".join(stuffed(mail))
