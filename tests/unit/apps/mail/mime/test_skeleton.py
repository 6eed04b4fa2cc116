"""Mails cut apart and put together again."""

import base64
import textwrap
import time
from dataclasses import replace

import msgspec
import pytest

from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX
from epost.apps.mail.mime.skeleton import (
    LITERAL_RUN_BYTES_MAX,
    SKELETON_BYTES_MAX,
    SKELETONS,
    Skeleton,
    Slot,
    SplitMail,
    check,
    join,
    split,
)
from epost.apps.mail.mime.structure import parse_structure
from epost.foundation.codec import encode
from epost.foundation.errors import LimitExceeded, MalformedPacket
from tests.support.corpus import mails
from tests.support.large_octets import Zeros

FILE = bytes(range(256)) * 100


def attachment(line_length: int, line_end: str) -> bytes:
    """Return a mail with a text and FILE as a base64 attachment."""
    lines = textwrap.wrap(base64.b64encode(FILE).decode(), line_length)
    return line_end.join(
        [
            "Content-Type: multipart/mixed; boundary=b",
            "",
            "--b",
            "",
            "hello",
            "--b",
            "Content-Type: application/pdf",
            "Content-Transfer-Encoding: BASE64",
            "",
            *lines,
            "",
            "--b--",
            "",
        ]
    ).encode()


def rejoined(cut: SplitMail) -> bytes:
    """Join as a reader does: the skeleton comes from its encoding."""
    skeleton = SKELETONS.decode(encode(cut.skeleton))
    return join(skeleton, [part.octets[:] for part in cut.parts])


def test_one_file_is_one_part_however_it_is_wrapped() -> None:
    parts = set()
    for line_length in (60, 72, 76):
        for line_end in ("\n", "\r\n"):
            mail = attachment(line_length, line_end)
            cut = split(mail)
            assert rejoined(cut) == mail
            (part,) = cut.parts
            assert part.is_attachment
            parts.add(part.octets[:])
    assert parts == {FILE}


def test_small_parts_stay_in_the_skeleton() -> None:
    mail = b"Subject: x\n\n" + b"x" * 1023
    assert split(mail).parts == ()
    assert [part.octets for part in split(mail + b"x").parts] == [b"x" * 1024]
    assert not split(mail + b"x").parts[0].is_attachment
    assert len(split(mail, threshold_bytes=10).parts) == 1
    assert split(b"Subject: x\n\n", threshold_bytes=0).parts == ()


def test_attachments_of_a_forwarded_mail_are_parts_too() -> None:
    inner = attachment(76, "\r\n")
    mail = b"Content-Type: message/rfc822\r\n\r\n" + inner
    assert [part.octets for part in split(mail).parts] == [FILE]
    assert rejoined(split(mail, parse_structure(mail))) == mail


def test_irregular_base64_is_stored_as_it_stands() -> None:
    mail = attachment(76, "\r\n").replace(b"AAEC", b"AAEC ", 1)
    cut = split(mail)
    assert rejoined(cut) == mail
    assert [slot.is_base64 for slot in cut.skeleton.slots] == [False]


def test_endless_headers_and_preambles_do_not_fatten_the_skeleton() -> None:
    long = LITERAL_RUN_BYTES_MAX + 1
    mail = (
        b"X: "
        + b"x" * long
        + b"\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
        + b"y" * 2000
        + b"\n--b--\n"
        + b"z" * long
    )
    cut = split(mail)
    assert rejoined(cut) == mail
    assert len(cut.parts) == 3
    assert len(encode(cut.skeleton)) < 200


def test_a_mail_over_the_limit_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="is over"):
        split(Zeros(MAIL_SIZE_BYTES_MAX + 1))


def test_the_encoding_of_a_skeleton_is_fixed() -> None:
    cut = split(b"Subject: x\r\n\r\n" + b"y" * 1024)
    assert encode(cut.skeleton).hex() == (
        "9401cd040e92c40e5375626a6563743a20780d0a0d0ac4009194cd0400c200c2"
    )


GOOD = Skeleton(format=1, size=4 + 8, literals=(b"ab", b"cd"), slots=(Slot(6, True, 0, False),))


def test_a_skeleton_is_joined_only_with_its_own_parts() -> None:
    assert join(GOOD, [b"abcdef"]) == b"abYWJjZGVmcd"
    for parts in ([], [b"abcde"], [b"abcdef", b""]):
        with pytest.raises(MalformedPacket, match="not those"):
            join(GOOD, parts)


@pytest.mark.parametrize(
    "forged",
    [
        {"size": 11},
        {"size": 13},
        {"literals": (b"abcd",)},
        {"literals": (b"ab", b"c", b"d")},
        {"slots": (Slot(6, False, 4, False),)},
        {"slots": (Slot(6, True, 0, True),)},
        {"slots": (Slot(6, True, 4, True),)},
        {"slots": (Slot(MAIL_SIZE_BYTES_MAX, True, 1, True),)},
    ],
)
def test_a_skeleton_that_contradicts_itself_is_refused_before_anything_is_written(
    forged: dict[str, object],
) -> None:
    with pytest.raises(MalformedPacket):
        check(msgspec.structs.replace(GOOD, **forged))


@pytest.mark.parametrize(
    "value",
    [
        [2, 0, [b""], []],
        [1, -1, [b""], []],
        [1, MAIL_SIZE_BYTES_MAX + 1, [b""], []],
        [1, 0, [], []],
        [1, 0, [b""], [[1, True, 65536, True]]],
        [1, 0, [b""], [[1, True, 0]]],
        [1, 0, [b""], [], 0],
        [1, 0, [""], []],
    ],
)
def test_what_is_no_skeleton_is_refused(value: object) -> None:
    with pytest.raises(MalformedPacket):
        SKELETONS.decode(msgspec.msgpack.encode(value))


def test_a_skeleton_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(LimitExceeded):
        SKELETONS.decode(bytes(SKELETON_BYTES_MAX + 1))


def test_every_mail_of_the_corpus_comes_back_octet_for_octet() -> None:
    count = parts = decoded = 0
    for name, octets in mails():
        unix = octets.replace(b"\r\n", b"\n")
        for mail in (octets, unix, unix.replace(b"\n", b"\r\n")):
            for threshold_bytes in (0, 1024):
                cut = split(mail, threshold_bytes=threshold_bytes)
                assert rejoined(cut) == mail, name
                count += 1
                parts += len(cut.parts)
                decoded += sum(slot.is_base64 for slot in cut.skeleton.slots)
    print(f"{count} mails split and joined, {parts} parts, {decoded} of them decoded base64")
    assert count > 200


def test_a_large_attachment_takes_a_fraction_of_a_second() -> None:
    text = base64.encodebytes(FILE * 900)
    mail = b"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n" + text
    start = time.process_time()
    cut = split(mail)
    assert rejoined(cut) == mail
    assert time.process_time() - start < 20, "25 MB: some 0.4 s"
    assert replace(cut.parts[0], octets=b"").is_attachment
