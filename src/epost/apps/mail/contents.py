"""Where the octets of a mail are, as its record tells."""

from __future__ import annotations

from collections.abc import Callable

from epost.apps.mail.delivery.notice import InNotice, read_notice
from epost.apps.mail.log.records import Inline, Noticed, RecordedContent, Stored
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.codec import Format
from epost.post.notification.notices import CONTENT_BYTES_MAX, Notice, decode_signed_notice

OpenNotice = Callable[[bytes], bytes]
"""Returns the content of a signed notice that was verified when it was accepted."""

_NOTICE: Format[Notice] = Format(Notice, size_max=CONTENT_BYTES_MAX + 1024)


def content_of(signed: bytes) -> bytes:
    """Return the content of a signed notice that was verified before it was kept."""
    notice = decode_signed_notice(signed).notice
    return _NOTICE.decode(parse(notice, Kind.NOTICE).body).content


def resolved(content: RecordedContent, open_notice: OpenNotice) -> Inline | Stored:
    """Return what a record says, without the notice around it; raises PeerError."""
    if not isinstance(content, Noticed):
        return content
    told = read_notice(open_notice(content.signed)).content
    if isinstance(told, InNotice):
        return Inline(told.octets)
    return Stored(told.skeleton, told.parts)
