"""The first words of a mail, as lists of mails show them (RFC 8970)."""

import re

from epost.apps.mail.attached.markup import shown_html
from epost.apps.mail.mime.decoding import leaf_text
from epost.apps.mail.mime.structure import Part, PartKind
from epost.foundation.octets import Octets

PREVIEW_CHARACTERS_MAX = 200  # RFC 8970 3.1 allows 256
_READ_CHARACTERS = 16 * 1024

_QUOTED_LINE = re.compile(r"^>.*$", re.MULTILINE)


def preview_of(octets: Octets, mail: Part) -> str:
    """At most 200 characters of the mail's own text, on one line; empty if it has none."""
    for part in _leaves(mail):
        if part.content.media_type in ("text/plain", "text/html"):
            text = leaf_text(octets, part, _READ_CHARACTERS)[:_READ_CHARACTERS]
            if part.content.media_type == "text/html":
                text = shown_html(text)
            words = " ".join(_QUOTED_LINE.sub("", text).split())
            if words:
                return words[:PREVIEW_CHARACTERS_MAX].replace("\0", "")
    return ""


def _leaves(mail: Part) -> list[Part]:
    """The parts shown as text, plain text first."""
    shown = [p for p in mail.leaves() if p.kind is PartKind.LEAF and not p.content.is_attachment]
    return sorted(shown, key=lambda part: part.content.media_type != "text/plain")
