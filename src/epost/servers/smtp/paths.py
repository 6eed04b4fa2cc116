"""The addresses of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531)."""

import re

LOCAL_PART_BYTES_MAX = 64
DOMAIN_BYTES_MAX = 255
NULL_SENDER = "<>"

_UNICODE = "\x80-\ud7ff\ue000-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.{_UNICODE}-]+"
_QUOTED = rf'"(?:[\x20\x21\x23-\x5b\x5d-\x7e{_UNICODE}]|\\[\x20-\x7e])*"'
_DOMAIN = rf"[A-Za-z0-9{_UNICODE}](?:[A-Za-z0-9._{_UNICODE}-]*[A-Za-z0-9{_UNICODE}])?"
_LITERAL = r"\[[A-Za-z0-9.:-]+\]"
_ROUTE = r"(?:@[A-Za-z0-9.,@-]+:)?"  # obsolete, to be ignored (RFC 5321 appendix C)
_PATH = re.compile(
    rf"<(?:{_ROUTE}(?P<local>{_ATOM}|{_QUOTED})(?:@(?P<domain>{_DOMAIN}|{_LITERAL}))?)?>"
)
_PLAIN = re.compile(_ATOM)
_QUOTED_PAIR = re.compile(r"\\(.)")


def read_path(text: str) -> tuple[str, str] | None:
    """Return the address at the start of `text` and what follows it; None if there is none.

    The null path is returned as `NULL_SENDER`; needless quotes around a local part are dropped.
    """
    match = _PATH.match(text)
    if match is None:
        return None
    rest = text[match.end() :]
    if rest and not rest.startswith(" "):
        return None
    if match["local"] is None:
        return NULL_SENDER, rest
    local, domain = _without_quotes(match["local"]), match["domain"]
    if (
        len(local.encode()) > LOCAL_PART_BYTES_MAX
        or len((domain or "").encode()) > DOMAIN_BYTES_MAX
    ):
        return None
    return (f"{local}@{domain}" if domain else local), rest


def _without_quotes(local: str) -> str:
    if not local.startswith('"'):
        return local
    content = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return content if _PLAIN.fullmatch(content) else local
