"""Where machines stand: copies of a block lie at different sites (paper 3.5; crypto 3.4).

A machine says its site in its signed request for a place in the ring; the authority draws its id so
that its neighbours stand elsewhere, and certifies the site. Who lies about it only keeps away from
parts of the ring: the id is drawn when the request is fixed.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final

import msgspec

from epost.crypto.certificates import SITE_BYTES_MAX
from epost.foundation.codec import Format, encode
from epost.foundation.errors import MalformedPacket

REQUEST_BYTES_MAX: Final = 32 * 1024


class Sited(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A request for a place in the ring together with the site of the machine.

    Requests without a site travel plainly, as in the first version.
    """

    format: Annotated[int, msgspec.Meta(ge=2, le=2)]
    site: Annotated[bytes, msgspec.Meta(min_length=1, max_length=SITE_BYTES_MAX)]
    request: bytes


_SITED: Format[Sited] = Format(Sited, size_max=REQUEST_BYTES_MAX)
_MARK: Final = b"\x93\x02"
"""How a Sited begins; plain requests have more fields, and format 1."""


def canonical_site(text: str) -> bytes:
    """Return the name of a site so that its spellings with other cases and spaces are one.

    Raises MalformedPacket if it is too long or holds what cannot be printed.
    """
    site = unicodedata.normalize("NFC", " ".join(text.split()).casefold())
    data = site.encode()
    if len(data) > SITE_BYTES_MAX or not site.isprintable():
        raise MalformedPacket(f"a site is a name of at most {SITE_BYTES_MAX} bytes")
    return data


def with_site(request: bytes, site: bytes) -> bytes:
    """Return the body to be signed: the plain request if there is no site."""
    return encode(Sited(2, site, request)) if site else request


def split_site(body: bytes) -> tuple[bytes, bytes]:
    """Return a request and its site, empty for none; raises PeerError."""
    if not body.startswith(_MARK):
        return body, b""
    sited = _SITED.decode(body)
    try:
        is_canonical = canonical_site(sited.site.decode()) == sited.site
    except UnicodeDecodeError as error:
        raise MalformedPacket("a site that is no text") from error
    if not is_canonical:
        raise MalformedPacket("a site that is not written in the canonical way")
    return sited.request, sited.site
