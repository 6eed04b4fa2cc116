"""App passwords: generated 130-bit tokens, one per application, kept as SCRAM-SHA-256 records.

No password is ever chosen by a user, so the iteration count carries no weight (RFC 7677 asks for
4096 at least). All passwords of one account share its salt: SCRAM must name the salt before it
knows which application is asking, and between random tokens a shared salt gives nothing away.
"""

import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

TOKEN_CHARACTERS = 26  # base32: 130 bits
SALT_BYTES = 16
ITERATIONS = 4096
LOGIN_CHARACTERS_MAX = 320  # 64 + "@" + 255, RFC 5321 section 4.5.3.1
PASSWORD_CHARACTERS_MAX = 1024
PASSWORDS_PER_ACCOUNT_MAX = 64

Entropy = Callable[[int], bytes]


class Scope(StrEnum):
    """What an application may do with its password."""

    MAIL = "mail"
    READ_ONLY = "read-only"  # reads mail, and changes and sends none
    SUBMIT = "submit"  # sends mail, and reads none
    CALENDAR = "calendar"
    NEWS = "news"
    CHAT = "chat"
    WEB = "web"

    def opens(self, door: "Scope") -> bool:
        """Does a password of this scope let in where `door` is asked for: MAIL to read mail,
        SUBMIT to send some?"""
        wider = {Scope.SUBMIT: (Scope.MAIL,), Scope.MAIL: (Scope.READ_ONLY,)}
        return self is door or self in wider.get(door, ())


@dataclass(frozen=True, slots=True)
class ScramRecord:
    """What is stored instead of a password (RFC 5802 section 3): it cannot be used to log in."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppPassword:
    """The password of one application, as kept on disk."""

    application: str
    scope: Scope
    record: ScramRecord


@dataclass(frozen=True, slots=True)
class AccountPasswords:
    """All app passwords of an account; they share one salt."""

    account: str
    passwords: tuple[AppPassword, ...]

    def __post_init__(self) -> None:
        if len(self.passwords) > PASSWORDS_PER_ACCOUNT_MAX:
            raise ValueError(f"more than {PASSWORDS_PER_ACCOUNT_MAX} app passwords")
        if len({(p.record.salt, p.record.iterations) for p in self.passwords}) > 1:
            raise ValueError("the app passwords of one account must share their salt")


@dataclass(frozen=True, slots=True)
class IssuedPassword:
    """A new password: the token is shown to the user once, the rest is stored."""

    token: str = field(repr=False)
    password: AppPassword


class PasswordBook(Protocol):
    """Where the app passwords of this daemon's accounts are kept."""

    def passwords_of(self, login: str) -> AccountPasswords | None:
        """Return the account that a canonical login name means, or None; must not block."""
        ...


def canonical_login(login: str) -> str:
    """Return the one spelling under which accounts are looked up and throttled."""
    return unicodedata.normalize("NFKC", login).casefold()


def account_salt(server_secret: bytes, login: str) -> bytes:
    """Derive an account's salt; an unknown account has one too, so nobody can tell them apart."""
    label = b"epost/app-password-salt\x00"
    return hmac.digest(server_secret, label + login.encode(), "sha256")[:SALT_BYTES]


def derive_record(token: str, salt: bytes, iterations: int = ITERATIONS) -> ScramRecord:
    """Return the record of a token (RFC 5802 section 3, with SHA-256)."""
    salted = hashlib.pbkdf2_hmac("sha256", token.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return ScramRecord(
        salt=salt,
        iterations=iterations,
        stored_key=hashlib.sha256(client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", "sha256"),
    )


def issue_app_password(
    *, entropy: Entropy, server_secret: bytes, account: str, application: str, scope: Scope
) -> IssuedPassword:
    """Generate a password for one application of an account."""
    random_bytes = entropy(-(-TOKEN_CHARACTERS * 5 // 8))
    token = base64.b32encode(random_bytes).decode()[:TOKEN_CHARACTERS]
    salt = account_salt(server_secret, canonical_login(account))
    return IssuedPassword(token, AppPassword(application, scope, derive_record(token, salt)))
