"""What a part says about itself: the Content-* fields (RFC 2045, 2183, 2231, 2557, 3282, 1864)."""

import re
import urllib.parse
from dataclasses import dataclass

from epost.apps.mail.mime.headers import HeaderFields, decode_text, decode_words

PARAMETERS_MAX = 200
PARAMETER_TEXT_MAX = 16 * 1024
LANGUAGES_MAX = 50

_MEDIA_TYPE = re.compile(r"\s*([^\s/;()\"]{1,127})\s*/\s*([^\s/;()\",]{1,127})")
_TOKEN = re.compile(r"\s*([^\s;()\"]{1,127})")
_PARAMETER = re.compile(
    r";\s*(?P<name>[^\s=;\"()]{1,127})\s*=\s*"
    r"(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)(?:\"|\\?\Z)|(?P<token>[^;]*))",
    re.DOTALL,
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_COMMENT_AT_END = re.compile(r"\s\([^()]*\)\s*\Z")

Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Disposition:
    """Content-Disposition: its value in lower case, and parameters as they stand."""

    value: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Content:
    """The MIME fields of a part; None where a field is missing."""

    media_type: str  # lower case, "text/plain"
    parameters: Parameters = ()  # names in lower case, RFC 2231 forms left as they are
    encoding: str = "7bit"  # lower case
    id: str | None = None
    description: str | None = None
    md5: str | None = None
    disposition: Disposition | None = None
    languages: tuple[str, ...] = ()
    location: str | None = None

    @property
    def is_attachment(self) -> bool:
        """Whether the part is offered as a file rather than shown as text."""
        if self.disposition is not None and self.disposition.value != "inline":
            return True
        return not self.media_type.startswith(("text/", "multipart/"))

    @property
    def charset(self) -> str:
        """The charset parameter in lower case, or us-ascii."""
        return (parameter(self.parameters, "charset") or "us-ascii").lower()

    @property
    def file_name(self) -> str | None:
        """The name to offer for saving, decoded; it is the sender's text, never a safe path."""
        named = self.disposition.parameters if self.disposition else ()
        name = parameter(named, "filename") or parameter(self.parameters, "name")
        return decode_words(name) if name else None


def read_content(fields: HeaderFields, default_type: str = "text/plain") -> Content:
    """Read the MIME fields of a part; an unreadable Content-Type means the default."""
    media_type, parameters = default_type, _read_default_parameters(default_type)
    type_text = fields.first("content-type")
    if type_text is not None and (match := _MEDIA_TYPE.match(type_text)):
        media_type = f"{match[1]}/{match[2]}".lower()
        parameters = _read_parameters(type_text[match.end() :])
    return Content(
        media_type=media_type,
        parameters=parameters,
        encoding=_first_token(fields.first("content-transfer-encoding")) or "7bit",
        id=fields.first("content-id") or None,
        description=fields.first("content-description") or None,
        md5=fields.first("content-md5") or None,
        disposition=_read_disposition(fields.first("content-disposition")),
        languages=_read_languages(fields.first("content-language")),
        location=fields.first("content-location") or None,
    )


def parameter(parameters: Parameters, name: str) -> str | None:
    """Return a parameter, decoded and put together from its RFC 2231 pieces if need be."""
    by_name = dict(reversed(parameters))
    if name in by_name:
        return by_name[name]
    if f"{name}*" in by_name:
        return _percent_decoded([(by_name[f"{name}*"], True)])
    pieces: list[tuple[str, bool]] = []
    for number in range(PARAMETERS_MAX):
        plain, extended = f"{name}*{number}", f"{name}*{number}*"
        if extended in by_name:
            pieces.append((by_name[extended], True))
        elif plain in by_name:
            pieces.append((by_name[plain], False))
        else:
            break
    return _percent_decoded(pieces) if pieces else None


def _percent_decoded(pieces: list[tuple[str, bool]]) -> str:
    """Decode `charset'language'text` cut into (text, is percent-encoded) (RFC 2231 section 4)."""
    charset = "utf-8"
    first, is_extended = pieces[0]
    if is_extended and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
        pieces = [(first, True), *pieces[1:]]
    octets = b"".join(
        urllib.parse.unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
        if encoded
        else text.encode("utf-8", "surrogateescape")
        for text, encoded in pieces
    )
    return decode_text(octets, charset or "utf-8") or octets.decode("latin-1")


def _read_default_parameters(media_type: str) -> Parameters:
    return (("charset", "us-ascii"),) if media_type == "text/plain" else ()


def _read_parameters(text: str) -> Parameters:
    found: list[tuple[str, str]] = []
    for match in _PARAMETER.finditer(text, 0, PARAMETER_TEXT_MAX):
        if len(found) == PARAMETERS_MAX:
            break
        if match["quoted"] is not None:
            value = _QUOTED_PAIR.sub(r"\1", match["quoted"])
        else:
            value = _COMMENT_AT_END.sub("", match["token"]).strip()
        found.append((match["name"].lower(), value))
    return tuple(found)


def _read_disposition(text: str | None) -> Disposition | None:
    value = _first_token(text)
    if text is None or not value:
        return None
    return Disposition(value, _read_parameters(text))


def _read_languages(text: str | None) -> tuple[str, ...]:
    tags = (tag.strip() for tag in (text or "").split(",")[:LANGUAGES_MAX])
    return tuple(tag for tag in tags if tag)


def _first_token(text: str | None) -> str:
    match = _TOKEN.match(text or "")
    return match[1].lower() if match else ""
