"""App passwords of one account, and a clock that only moves when somebody sleeps."""

import asyncio
import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from epost.servers.access import (
    AccountPasswords,
    AppPasswordAuthenticator,
    Channel,
    FailureThrottle,
    Scope,
    ThrottleLimits,
    issue_app_password,
)

ALICE = "alice@example.org"
SECRET = b"s" * 32
MAIL_CHANNEL = Channel(source="127.0.0.1", scope=Scope.MAIL, passwords_allowed=True)


def counting_entropy(seed: bytes = b"seed"):
    """Return a deterministic source of octets."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(seed + count.to_bytes(4, "big")).digest(size)

    return entropy


@dataclass
class FakeTime:
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    go_on: asyncio.Event | None = None
    asleep: asyncio.Event | None = None

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.go_on is not None:
            self.asleep.set()
            await self.go_on.wait()
        self.now += seconds

    def stop(self) -> None:
        """Let sleepers sleep until `go_on` is set."""
        self.go_on, self.asleep = asyncio.Event(), asyncio.Event()


class DictBook(dict[str, AccountPasswords]):
    def passwords_of(self, login: str) -> AccountPasswords | None:
        return self.get(login)


class Access:
    """An authenticator that knows alice with one mail and one calendar password."""

    def __init__(self, limits: ThrottleLimits | None = None) -> None:
        entropy = counting_entropy()
        issued = [
            issue_app_password(
                entropy=entropy,
                server_secret=SECRET,
                account=ALICE,
                application=application,
                scope=scope,
            )
            for application, scope in (
                ("thunderbird", Scope.MAIL),
                ("phone", Scope.MAIL),
                ("calendar", Scope.CALENDAR),
                ("archive", Scope.READ_ONLY),
            )
        ]
        tokens = [each.token for each in issued]
        self.token, self.phone_token, self.calendar_token, self.reading_token = tokens
        self.time = FakeTime()
        self.book = DictBook()
        self.book[ALICE] = AccountPasswords(ALICE, tuple(each.password for each in issued))
        self.throttle = FailureThrottle(now=self.time.read, sleep=self.time.sleep, limits=limits)
        self.authenticator = AppPasswordAuthenticator(
            book=self.book,
            throttle=self.throttle,
            entropy=entropy,
            server_secret=SECRET,
        )


class ScramClient:
    """The client's side of SCRAM-SHA-256, written from RFC 5802 for tests."""

    def __init__(
        self,
        login: str,
        password: str,
        *,
        gs2: str = "n,,",
        binding: bytes = b"",
        nonce: str = "cn",
    ) -> None:
        self.password = password
        self.gs2 = gs2
        self.binding = binding
        self.nonce = nonce
        self.bare = f"n={login.replace('=', '=3D').replace(',', '=2C')},r={nonce}"

    def first(self) -> bytes:
        return (self.gs2 + self.bare).encode()

    def final(self, server_first: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        assert fields["r"].startswith(self.nonce)
        self.salt = base64.b64decode(fields["s"])
        self.salted = hashlib.pbkdf2_hmac(
            "sha256", self.password.encode(), self.salt, int(fields["i"])
        )
        bound = base64.b64encode(self.gs2.encode() + self.binding).decode()
        without_proof = f"c={bound},r={fields['r']}"
        self.auth_message = f"{self.bare},{server_first.decode()},{without_proof}".encode()
        client_key = hmac.digest(self.salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), self.auth_message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def trusts(self, server_final: bytes) -> bool:
        server_key = hmac.digest(self.salted, b"Server Key", "sha256")
        expected = hmac.digest(server_key, self.auth_message, "sha256")
        return server_final == b"v=" + base64.b64encode(expected)
