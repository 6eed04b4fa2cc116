"""Keeps peers out that are not mail clients of this user: browsers, other protocols, other uids.

A web page can make a browser send any bytes to a loopback port (cross-protocol attack). Each text
protocol closes the connection when the first line is not one of its own.
"""

import re
from typing import Protocol

_HTTP_REQUEST = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI|PROPFIND|PROPPATCH|MKCOL|COPY"
    rb"|MOVE|LOCK|UNLOCK|REPORT|SEARCH)[ \t]+[^ \t]+[ \t]+HTTP/|"
    rb"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|PATCH)(?:[ \t]|\r?\n|$)",
    re.IGNORECASE,
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def looks_like_foreign_protocol(first_line: bytes) -> bool:
    """Say whether a connection's first line is an HTTP request, a TLS hello or other binary.

    Meant for line protocols whose own first word is never an HTTP verb (SMTP, IMAP, POP3, NNTP,
    IRC). May be given an unfinished line.
    """
    if _HTTP_REQUEST.match(first_line) or _CONTROL.search(first_line):
        return True
    try:
        first_line.decode()
    except UnicodeDecodeError as error:
        # An unfinished line may end inside a character; that alone is not binary.
        return error.end < len(first_line) or error.reason != "unexpected end of data"
    return False


class PeerCheck(Protocol):
    """Says whether a peer may talk to a listener at all, before the greeting."""

    async def allowed(self, peer_host: str, peer_port: int, local_port: int) -> bool:
        """Return whether to serve this connection; unknown owners are refused."""
        ...


class EveryPeer:
    """Serves everybody: for listeners that are not on loopback, or where owners are not known."""

    async def allowed(self, peer_host: str, peer_port: int, local_port: int) -> bool:
        """Return True."""
        return True
