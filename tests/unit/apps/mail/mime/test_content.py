"""The Content-* fields."""

import pytest

from epost.apps.mail.mime.content import Content, Disposition, read_content
from epost.apps.mail.mime.headers import read_fields


def content(header: str) -> Content:
    return read_content(read_fields(header.encode()))


def test_without_fields_a_part_is_ascii_text() -> None:
    assert content("") == Content("text/plain", (("charset", "us-ascii"),))
    assert content("").charset == "us-ascii"
    assert content("").file_name is None


def test_all_fields_are_read() -> None:
    found = content(
        "Content-Type: IMAGE/Png; name=a.png\n"
        "Content-Transfer-Encoding: Base64 (yes)\n"
        "Content-ID: <1@x>\n"
        "Content-Description: a picture\n"
        "Content-MD5: Q2hlY2s=\n"
        'Content-Disposition: ATTACHMENT; filename="b.png"\n'
        "Content-Language: de, en\n"
        "Content-Location: http://x/\n"
    )
    assert found == Content(
        media_type="image/png",
        parameters=(("name", "a.png"),),
        encoding="base64",
        id="<1@x>",
        description="a picture",
        md5="Q2hlY2s=",
        disposition=Disposition("attachment", (("filename", "b.png"),)),
        languages=("de", "en"),
        location="http://x/",
    )
    assert found.file_name == "b.png"


@pytest.mark.parametrize(
    ("value", "media_type", "parameters"),
    [
        ('text/html; charset="utf-8"; format=flowed', "text/html", 2),
        ("text / html ; charset = utf-8", "text/html", 1),
        ("text/html (comment); charset=utf-8 (latin)", "text/html", 1),
        ("text/html;;; charset=utf-8;", "text/html", 1),
        (r'text/html; a="b;c\"d"', "text/html", 1),
        ('text/html; a="unclosed', "text/html", 1),
        ("text/html charset=utf-8", "text/html", 0),
        ("text", "text/plain", 1),
        ("/html", "text/plain", 1),
        ("", "text/plain", 1),
    ],
)
def test_types_are_read_tolerantly(value: str, media_type: str, parameters: int) -> None:
    found = content(f"Content-Type: {value}\n")
    assert (found.media_type, len(found.parameters)) == (media_type, parameters)


def test_quoted_parameters_and_comments() -> None:
    found = content('Content-Type: text/x; A="b;c\\"d"; b = e (comment); c=f g\n')
    assert found.parameters == (("a", 'b;c"d'), ("b", "e"), ("c", "f g"))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("filename=a.txt", "a.txt"),
        ("filename*=utf-8''%e2%82%ac.txt", "€.txt"),
        ("filename*=utf-8'de'%e2%82%ac.txt", "€.txt"),
        ("filename*0=a; filename*1=b; filename*3=d", "ab"),
        ("filename*0*=iso-8859-1''%fc; filename*1=%fc; filename*2*=%fc", "ü%fcü"),
        ("filename*=no-such-charset''%fc", "ü"),
        ("filename*=%e2%82%ac", "€"),
        ('filename="=?utf-8?q?=E2=82=AC?="', "€"),
        ("filename=first; filename=second", "first"),
        ("other=x", None),
    ],
)
def test_file_names_are_decoded(parameters: str, name: str | None) -> None:
    assert content(f"Content-Disposition: attachment; {parameters}\n").file_name == name


@pytest.mark.parametrize(
    ("header", "is_attachment"),
    [
        ("", False),
        ("Content-Type: text/html\n", False),
        ("Content-Type: image/png\n", True),
        ("Content-Type: image/png\nContent-Disposition: inline\n", True),
        ("Content-Disposition: inline\n", False),
        ("Content-Disposition: attachment\n", True),
        ("Content-Disposition: ;x\n", False),
    ],
)
def test_attachments_are_told_from_text(header: str, is_attachment: bool) -> None:
    assert content(header).is_attachment == is_attachment


def test_parameters_are_bounded() -> None:
    found = content("Content-Type: text/plain" + "; a=b" * 1000 + "\n")
    assert len(found.parameters) == 200
    assert len(content("Content-Language: " + "x," * 1000 + "\n").languages) == 50
