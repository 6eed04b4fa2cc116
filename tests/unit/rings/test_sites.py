"""Sites: how they are written, and how a request carries one."""

from __future__ import annotations

import pytest

from epost.crypto.certificates import SITE_BYTES_MAX
from epost.foundation.codec import encode
from epost.foundation.errors import MalformedPacket
from epost.rings.sites import Sited, canonical_site, split_site, with_site

PLAIN = b"\x94\x01plain"


def test_spellings_of_one_site_are_one() -> None:
    assert canonical_site("  Building   A ") == canonical_site("building a") == b"building a"
    assert canonical_site("Zu\u0308rich") == canonical_site("Z\u00fcrich")
    assert canonical_site("") == b""


@pytest.mark.parametrize("text", ["x" * (SITE_BYTES_MAX + 1), "a\x07b", "a\u202eb"])
def test_a_site_is_a_short_name_that_can_be_printed(text: str) -> None:
    with pytest.raises(MalformedPacket):
        canonical_site(text)


def test_a_request_without_a_site_travels_as_in_the_first_version() -> None:
    assert with_site(PLAIN, b"") == PLAIN
    assert split_site(PLAIN) == (PLAIN, b"")


def test_a_request_carries_its_site() -> None:
    longest = b"s" * SITE_BYTES_MAX
    assert split_site(with_site(PLAIN, longest)) == (PLAIN, longest)


@pytest.mark.parametrize(
    "site", [b"", b"s" * (SITE_BYTES_MAX + 1), b"Building A", b" a", b"\xff", b"a\x00"]
)
def test_a_site_that_is_not_canonical_is_malformed(site: bytes) -> None:
    with pytest.raises(MalformedPacket):
        split_site(encode(Sited(2, site, PLAIN)))
