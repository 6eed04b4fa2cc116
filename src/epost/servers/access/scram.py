"""SCRAM-SHA-256 and -PLUS, the server's side, without I/O (RFC 5802, RFC 7677).

Two messages in, two messages out. The account may have several passwords (one per application):
the proof is tried against each, which costs one HMAC per password and no key derivation.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from epost.servers.access.passwords import LOGIN_CHARACTERS_MAX, AppPassword, ScramRecord

SERVER_NONCE_BYTES = 18
MESSAGE_BYTES_MAX = 4096
END_POINT_BINDING = "tls-server-end-point"

_CLIENT_FIRST = re.compile(
    # gs2 header: binding flag, optional authorization identity; then user, nonce, extensions
    r"(?P<gs2>(?P<flag>n|y|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>[^,]*))?,)"
    r"(?P<bare>n=(?P<user>[^,]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*)\Z"
)
_CLIENT_FINAL = re.compile(
    r"(?P<without_proof>c=(?P<bound>[A-Za-z0-9+/=]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)"
    r"(?:,[A-Za-z]=[^,]*)*),p=(?P<proof>[A-Za-z0-9+/=]+)\Z"
)


class ScramSyntaxError(ValueError):
    """The client's message is not one of RFC 5802, or asks for what was not offered."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a login name stands for: the salt to announce and the passwords that would do.

    For an unknown account the passwords are empty and the salt looks like any other.
    """

    salt: bytes
    iterations: int
    passwords: tuple[AppPassword, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScramMatch:
    """The password whose proof was right, and the server's last message."""

    password: AppPassword
    server_final: bytes


class ScramServer:
    """One exchange: `first`, then `final`, once each."""

    def __init__(
        self,
        *,
        candidates: Callable[[str], Candidates],
        server_nonce: str,
        channel_binding: bytes | None,
        plus_offered: bool,
    ) -> None:
        """`server_nonce` is printable and has no comma; `channel_binding` is for -PLUS only.

        `plus_offered` tells whether -PLUS was announced: a client that could have used it and saw
        no offer has met somebody who removed it (section 6).
        """
        self._candidates = candidates
        self._server_nonce = server_nonce
        self._channel_binding = channel_binding
        self._plus_offered = plus_offered
        self._bound = b""
        self._nonce = ""
        self._auth_message_start = ""
        self._passwords: Sequence[AppPassword] = ()
        self.login = ""

    def first(self, message: bytes) -> bytes:
        """Take client-first, return server-first; raises ScramSyntaxError."""
        fields = _match(_CLIENT_FIRST, message)
        self._check_binding_flag(fields["flag"], fields["binding"])
        self.login = _saslname(fields["user"])
        if fields["authzid"] and _saslname(fields["authzid"]) != self.login:
            raise ScramSyntaxError("acting for another account is not offered")
        found = self._candidates(self.login)
        self._passwords = found.passwords
        self._bound = fields["gs2"].encode() + (self._channel_binding or b"")
        self._nonce = fields["nonce"] + self._server_nonce
        salt = base64.b64encode(found.salt).decode()
        server_first = f"r={self._nonce},s={salt},i={found.iterations}"
        self._auth_message_start = f"{fields['bare']},{server_first},"
        return server_first.encode()

    def final(self, message: bytes) -> ScramMatch | None:
        """Take client-final; None if the proof fits no password; raises ScramSyntaxError."""
        fields = _match(_CLIENT_FINAL, message)
        bound, proof = _base64(fields["bound"]), _base64(fields["proof"])
        if len(proof) != hashlib.sha256().digest_size:
            raise ScramSyntaxError("the proof has a wrong length")
        auth_message = (self._auth_message_start + fields["without_proof"]).encode()
        matching = [p for p in self._passwords if _proves(proof, p.record, auth_message)]
        is_bound = hmac.compare_digest(bound, self._bound)
        is_fresh = hmac.compare_digest(fields["nonce"].encode(), self._nonce.encode())
        if not (matching and is_bound and is_fresh):
            return None
        signature = hmac.digest(matching[0].record.server_key, auth_message, "sha256")
        return ScramMatch(matching[0], b"v=" + base64.b64encode(signature))

    def _check_binding_flag(self, flag: str, binding: str | None) -> None:
        if self._channel_binding is not None:
            if binding != END_POINT_BINDING:
                raise ScramSyntaxError("the channel must be bound to the server's certificate")
        elif binding is not None:
            raise ScramSyntaxError("channel binding was not offered with this mechanism")
        elif flag == "y" and self._plus_offered:
            raise ScramSyntaxError("somebody removed -PLUS from the offer")


def _proves(proof: bytes, record: ScramRecord, auth_message: bytes) -> bool:
    """Check a proof against one record (RFC 5802 section 3)."""
    client_signature = hmac.digest(record.stored_key, auth_message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, client_signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), record.stored_key)


def _match(grammar: re.Pattern[str], message: bytes) -> re.Match[str]:
    if len(message) > MESSAGE_BYTES_MAX:
        raise ScramSyntaxError("the message is too long")
    try:
        found = grammar.match(message.decode())
    except UnicodeDecodeError as error:
        raise ScramSyntaxError("the message is not UTF-8") from error
    if found is None:
        raise ScramSyntaxError("the message does not follow RFC 5802")
    return found


def _saslname(name: str) -> str:
    """Undo the quoting of "," and "=" in a user name (RFC 5802 section 5.1)."""
    if re.search(r"=(?!2C|3D)|\x00", name) or len(name) > LOGIN_CHARACTERS_MAX:
        raise ScramSyntaxError("the user name is not quoted as it must be")
    return name.replace("=2C", ",").replace("=3D", "=")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ScramSyntaxError("not base64") from error
