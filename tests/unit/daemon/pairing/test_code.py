"""The code of `epost device add`, as people paste it."""

from __future__ import annotations

import pytest

from epost.daemon.pairing.code import DeviceCode, is_device_code, parse_code
from epost.foundation.errors import RefusedError
from epost.foundation.ids import Address

CODE = DeviceCode(Address("192.0.2.7", 4519), b"k" * 16, b"t" * 16, 1000)
TEXT = str(CODE)


@pytest.mark.parametrize("text", [TEXT, TEXT.lower(), f" {TEXT[:30]}\n  {TEXT[30:]} "])
def test_it_is_read_whatever_case_and_white_space(text: str) -> None:
    assert is_device_code(text)
    assert parse_code(text, 999) == CODE
    assert set(TEXT) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:"), "dense in a QR code"


@pytest.mark.parametrize(
    ("text", "now_ms", "complaint"),
    [
        (TEXT[:-5], 999, "not complete"),
        (TEXT[:-9] + ("A" if TEXT[-9] != "A" else "B") + TEXT[-8:], 999, "mistyped|not complete"),
        (TEXT, 1000, "expired"),
        ("hello", 999, "neither an invitation nor"),
        ("EPOST-DEVICE:1!", 999, "not complete"),
    ],
)
def test_what_is_wrong_with_it_is_said(text: str, now_ms: int, complaint: str) -> None:
    with pytest.raises(RefusedError, match=complaint):
        parse_code(text, now_ms)


def test_an_address_alone_is_a_code_whose_digits_must_be_compared() -> None:
    code = parse_code("192.0.2.7:4519", 999)
    assert (code.address, code.token, code.listener) == (Address("192.0.2.7", 4519), b"", b"")
    assert not is_device_code("epost1:abc")


def test_it_does_not_print_its_token() -> None:
    assert "tttt" not in repr(CODE)
    assert CODE.name != DeviceCode(CODE.address).name
