"""Properties of reading and cutting mails."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from epost.apps.mail.mime.addresses import read_addresses
from epost.apps.mail.mime.base64_layout import recognise
from epost.apps.mail.mime.content import read_content
from epost.apps.mail.mime.headers import decode_words, read_date, read_fields, read_message_ids
from epost.apps.mail.mime.section import SectionText, locate
from epost.apps.mail.mime.skeleton import SKELETONS, join, split
from epost.apps.mail.mime.structure import parse_structure
from epost.foundation.codec import encode

# Octets that often mean something.
FRAGMENTS = st.sampled_from(
    [
        *(
            b"\n",
            b"\r\n",
            b"\r",
            b"--b",
            b"--b--",
            b"--",
            b"--c",
            b"\n\n",
            b"\r\n\r\n",
            b": ",
            b" ",
        ),
        *(b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: message/rfc822"),
        *(b"content-type: multipart/digest; boundary=c", b"Content-Transfer-Encoding: base64"),
        *(b"YWJjZGVm", b"YQ==", b"Subject: x", b"hello", b"\x00", b"\xff"),
    ]
)
GARBAGE = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=8)), max_size=60).map(b"".join)


@st.composite
def parts(draw: st.DrawFn, depth: int = 2) -> bytes:
    """Return a well-formed MIME part with its header."""
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    kind = draw(st.sampled_from(["text", "base64"] + ["multipart", "message"] * (depth > 0)))
    if kind == "text":
        return b"Content-Type: text/html" + end + end + draw(st.binary(max_size=2000))
    if kind == "base64":
        text = base64.b64encode(draw(st.binary(max_size=3000)))
        width = draw(st.integers(1, 100))
        lines = end.join(text[at : at + width] for at in range(0, len(text), width))
        tail = draw(st.sampled_from([b"", end, end + end]))
        return b"Content-Transfer-Encoding: base64" + end + end + lines + tail
    inner = [draw(parts(depth - 1)) for _ in range(draw(st.integers(1, 3)))]
    if kind == "message":
        return b"Content-Type: message/rfc822" + end + end + inner[0]
    boundary = b"b%d" % depth
    opening = b"Content-Type: multipart/mixed; boundary=" + boundary + end + end
    body = b"".join(b"--" + boundary + end + part + end for part in inner)
    return opening + body + b"--" + boundary + b"--" + end


MAILS = st.one_of(st.binary(max_size=300), GARBAGE, parts())


@given(MAILS, st.sampled_from([0, 1, 16, 1024]))
def test_a_mail_cut_apart_comes_back_octet_for_octet(mail: bytes, threshold_bytes: int) -> None:
    cut = split(mail, threshold_bytes=threshold_bytes)
    skeleton = SKELETONS.decode(encode(cut.skeleton))
    assert join(skeleton, [part.octets[:] for part in cut.parts]) == mail


@given(MAILS)
def test_parts_lie_in_order_within_their_mail(mail: bytes) -> None:
    at = 0
    for leaf in parse_structure(mail).leaves():
        assert at <= leaf.header.start <= leaf.header.end == leaf.body.start <= leaf.body.end
        at = leaf.body.end
    assert at <= len(mail)


@given(MAILS, st.lists(st.integers(0, 3), max_size=4), st.sampled_from(SectionText))
def test_a_section_lies_within_the_mail(mail: bytes, numbers: list[int], text: SectionText) -> None:
    span = locate(parse_structure(mail), numbers, text)
    assert span is None or 0 <= span.start <= span.end <= len(mail)


@given(st.binary(max_size=2000), st.integers(1, 80), st.sampled_from([b"\n", b"\r\n"]))
def test_regular_base64_is_always_recognised(data: bytes, width: int, end: bytes) -> None:
    text = base64.b64encode(data)
    body = end.join(text[at : at + width] for at in range(0, len(text), width))
    found = recognise(body + end)
    assert (found.decoded if found else b"") == data


@given(GARBAGE)
def test_headers_are_read_whatever_they_are(block: bytes) -> None:
    fields = read_fields(block)
    read_content(fields)
    for field in fields:
        field.value.encode("utf-8", "surrogateescape")


@given(st.one_of(st.text(), st.text(alphabet="<>@,:;()\"\\[] a.=?q_%'*0", max_size=200)))
def test_values_are_read_whatever_they_are(text: str) -> None:
    read_addresses(text)
    decode_words(text)
    read_date(text)
    read_message_ids(text)
    read_content(read_fields(b"Content-Type: text/x; " + text.encode("utf-8", "replace")))
    file_name = read_content(
        read_fields(b"Content-Disposition: a; " + text.encode("utf-8", "replace"))
    ).file_name
    assert file_name is None or isinstance(file_name, str)
