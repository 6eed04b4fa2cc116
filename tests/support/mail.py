"""Mail for one or more accounts over logs, messages and notifications in memory.

The twins keep the promises that mail relies on: a log tells its listeners in order and before the
append returns, and reads back what it told; the message store gives only what was stored, for the
reference it returned; a notice reaches its recipient's handler, and its entries her log.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from epost.apps.mail.delivery.delivery_wishes import NO_WISHES, DeliveryWishes
from epost.apps.mail.delivery.submission import Terms
from epost.apps.mail.index import MailIndex
from epost.apps.mail.ports import Follower, LogListener, ReadFile
from epost.apps.mail.service import MailService
from epost.apps.mail.services import MailServices
from epost.crypto.certificates import AccountCert
from epost.crypto.signed import sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import encode
from epost.foundation.errors import EpostError, NoSuchBlock, NoSuchUser, UnavailableError
from epost.foundation.octets import Octets, windows
from epost.past.durability import Durability
from epost.post.accounts.blocks import Identity
from epost.post.accounts.contacts import Contact
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.notification.handlers import Accepted, Answer, Dispatched, Notification
from epost.post.notification.notices import Notice, SignedNotice
from epost.post.notification.notifications import Sent
from epost.post.storage.message_store import Stored
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.file_reading import read_here
from epost.simulation.mail_index import SimulatedMailIndex

RING_TURNS = 12
"""Of the loop: no answer of the ring comes at once."""
ON_THREE = Durability(3, 3, ring_durable=True)
HELD = Durability(1, 3, ring_durable=False)
WALL_MS = 1_700_000_000_000


@dataclass
class StillClock:
    """A clock that goes when told to."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return WALL_MS + int(self.seconds * 1000)


@dataclass
class CountingEntropy:
    """Bytes that differ every time, and are the same in every run."""

    seed: bytes = b""
    drawn: int = 0

    def token(self, size: int) -> bytes:
        self.drawn += 1
        return hashlib.shake_256(self.seed + self.drawn.to_bytes(8, "big")).digest(size)


@dataclass
class Recorder:
    """Keeps every event."""

    events: list[object] = field(default_factory=list)

    def record(self, event: object) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[object]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(frozen=True)
class Origin:
    device: int
    incarnation: bytes


@dataclass(frozen=True)
class Appended:
    first_sequence: int
    durability: Durability


@dataclass
class MemoryLog:
    """One device's log; survives its listeners, as the vault survives a process."""

    origin: Origin = Origin(1, bytes(16))
    durability: Durability = ON_THREE
    error: EpostError | None = None
    entries: list[Entry] = field(default_factory=list)
    listeners: list[tuple[int, LogListener]] = field(default_factory=list)
    ring_may_answer: asyncio.Event | None = None
    _disk: asyncio.Lock = field(default_factory=asyncio.Lock)

    def submit(self, entries: Sequence[Entry]) -> asyncio.Future[Appended]:
        return asyncio.ensure_future(self.append(entries))

    async def append(self, entries: Sequence[Entry]) -> Appended:
        async with self._disk:
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
            first = len(self.entries) + 1
            self.entries += entries
            self._tell(first, entries, self.origin)
        for _ in range(RING_TURNS):
            await asyncio.sleep(0)
        if self.ring_may_answer is not None:
            await self.ring_may_answer.wait()
        return Appended(first, self.durability)

    def _tell(self, first: int, entries: Sequence[Entry], origin: Origin) -> None:
        for sequence, entry in enumerate(entries, first):
            for app, listener in tuple(self.listeners):
                if entry.app == app:
                    listener(sequence, entry, origin)

    def register(self, app: AppId, listener: LogListener) -> None:
        self.listeners.append((int(app), listener))

    async def replay(self, app: AppId, after_sequence: int) -> AsyncIterator[tuple[int, bytes]]:
        for sequence, entry in enumerate(self.entries[after_sequence:], after_sequence + 1):
            await asyncio.sleep(0)
            if entry.app == app:
                yield sequence, entry.payload

    def restart(self) -> None:
        """The process is gone, the disk stays."""
        self.listeners.clear()
        self._disk = asyncio.Lock()

    def payloads(self) -> list[bytes]:
        return [entry.payload for entry in self.entries]


@dataclass
class MemorySiblings:
    """What the account's other devices log."""

    followers: list[Follower] = field(default_factory=list)

    def register(self, app: AppId, follower: Follower) -> None:
        assert app is AppId.MAIL
        self.followers.append(follower)

    def take_snapshots(self, app: AppId, taker: object) -> None:
        assert app is AppId.MAIL

    async def hear(self, payload: bytes, origin: Origin) -> None:
        """A record of another device becomes known."""
        for follower in self.followers:
            after = follower.read_to(origin.device)
            await follower.take(origin, after, [(after + 1, Entry(AppId.MAIL, payload))])


@dataclass
class MemoryRing:
    """The blocks that all accounts share."""

    blocks: dict[bytes, bytes] = field(default_factory=dict)
    is_reachable: bool = True
    stored: int = 0
    may_store: asyncio.Event | None = None


@dataclass
class MemoryMessages:
    """One account's message store: a reference for each plaintext, remembered."""

    ring: MemoryRing
    entropy: CountingEntropy
    durability: Durability = ON_THREE
    known: dict[bytes, Reference] = field(default_factory=dict)
    confidential: list[bool] = field(default_factory=list)
    error: EpostError | None = None

    async def store(self, octets: Octets, *, confidential: bool = False) -> Stored:
        plaintext = octets[:]
        await asyncio.sleep(0)
        if self.ring.may_store is not None:
            await self.ring.may_store.wait()
        if self.error is not None:
            raise self.error
        sha256 = hashlib.sha256(plaintext).digest()
        if sha256 not in self.known:
            key = self.entropy.token(32)
            digest = hashlib.sha256(key + plaintext).digest()
            self.ring.blocks[digest] = plaintext
            self.ring.stored += len(plaintext)
            self.confidential.append(confidential)
            self.known[sha256] = Reference(digest, key, Secrecy.UNIQUE, 0, len(plaintext))
        return Stored(self.known[sha256], self.durability)

    async def fetch(self, reference: Reference) -> bytes:
        await asyncio.sleep(0)
        if not self.ring.is_reachable:
            raise UnavailableError("no replica answers")
        try:
            return self.ring.blocks[reference.digest]
        except KeyError:
            raise NoSuchBlock(str(reference)) from None

    async def stream(self, reference: Reference) -> AsyncGenerator[bytes, None]:
        for window in windows(await self.fetch(reference)):
            yield window


def account(name: str, *, aliases: tuple[str, ...] = (), flags: int = 0) -> AccountCert:
    """A certificate as a verifier would hand it out."""
    of = hashlib.sha256(name.encode()).digest()
    return AccountCert(
        format=1,
        issuer=1,
        ring=bytes(20),
        name=name,
        account_id=of,
        generation=0,
        account_key=of,
        recovery_key=of,
        recovery_sealing_hash=of,
        aliases=aliases,
        flags=flags,
        version=1,
        rekey_proof=b"",
        log_sequence=0,
        not_before=0,
        not_after=2**62,
    )


@dataclass
class MemoryNames:
    """Who is who in one organisation, as one account sees it."""

    me: AccountCert
    everybody: dict[str, AccountCert]
    is_reachable: bool = True
    delay_seconds: float = 0.0

    async def resolve(self, name: str) -> Contact:
        await asyncio.sleep(self.delay_seconds)
        if not self.is_reachable:
            raise UnavailableError("no replica answered")
        for certified in self.everybody.values():
            if name in (certified.name, *certified.aliases):
                return Contact(name, b"", certified, _NO_IDENTITY, (), ())
        raise NoSuchUser(f"nobody is certified as {name}")

    def remembered(self, name: str) -> Contact | None:
        account = self.everybody.get(name)
        return None if account is None else Contact(name, b"", account, _NO_IDENTITY, (), ())

    async def present(self, contact: Contact) -> Contact:
        return await self.resolve(contact.account.present_name)


_NO_IDENTITY = Identity(bytes(32), 0, (), (), b"", bytes(32), 0, ())  # mail reads none of it


@dataclass
class Post:
    """Carries notices between the accounts of a test, at once."""

    members: dict[str, Member] = field(default_factory=dict)
    contents: list[bytes] = field(default_factory=list)
    memos: list[bytes] = field(default_factory=list)
    held_until_ms: list[int] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    async def carry(
        self, sender: Member, content: bytes, recipients: Sequence[str], memo: bytes = b""
    ) -> Sent:
        self.contents.append(content)
        self.memos.append(memo)
        key = sender.entropy.token(16)
        for name in recipients:
            recipient = self._member(name)
            if recipient is None:
                entries = await sender.mail.inbox.undeliverable(
                    Dispatched(key, content, name, WALL_MS, memo, "no such user")
                )
                await sender.log.append(entries)
            else:
                self.answers.append(await recipient.receive(sender, content))
        return Sent(key, sender.log.durability, ())

    def _member(self, name: str) -> Member | None:
        for member in self.members.values():
            if name in (member.me.name, *member.me.aliases):
                return member
        return None


@dataclass
class Member:
    """One account on one device."""

    me: AccountCert
    post: Post
    ring: MemoryRing
    names: MemoryNames
    entropy: CountingEntropy
    log: MemoryLog = field(default_factory=MemoryLog)
    clock: StillClock = field(default_factory=StillClock)
    observer: Recorder = field(default_factory=Recorder)
    index: MailIndex = field(default_factory=SimulatedMailIndex)
    key: SigningKey = field(default_factory=lambda: SigningKey(bytes(32)))
    read_file: ReadFile = read_here

    def __post_init__(self) -> None:
        self.messages = MemoryMessages(self.ring, self.entropy)
        self.build()

    def build(self) -> None:
        """Make the mail service, as at the start of a process."""
        self.siblings = MemorySiblings()
        services = MailServices(
            log=self.log,
            siblings=self.siblings,
            messages=self.messages,
            sending=self,
            names=self.names,
            clock=self.clock,
            entropy=self.entropy,
            observer=self.observer,
        )
        self.mail = MailService(services, self.index, read_file=self.read_file)

    async def start(self) -> None:
        await self.mail.start()

    async def restart(self, index: MailIndex | None = None) -> None:
        """Stop and start, with the same index or another."""
        await self.mail.stop()
        self.log.restart()
        self.index = self.index if index is None else index
        self.build()
        await self.start()

    async def send(
        self,
        app: AppId,
        content: bytes,
        recipients: Sequence[str],
        *,
        memo: bytes = b"",
        not_before_ms: int = 0,
    ) -> Sent:
        assert app is AppId.MAIL
        self.post.held_until_ms.append(not_before_ms)
        return await self.post.carry(self, content, recipients, memo)

    async def submit(
        self, octets: bytes, *recipients: str, wishes: DeliveryWishes = NO_WISHES
    ) -> None:
        name = self.me.name
        await self.mail.submission.submit(name, name, recipients, octets, Terms(wishes))

    async def receive(self, sender: Member, content: bytes) -> Answer:
        """Handle a notice as `post` would: what is accepted is in the log afterwards."""
        answer = await self.mail.inbox.accept(notification(sender, self, content))
        if isinstance(answer, Accepted):
            await self.log.append(answer.entries)
        return answer


def notification(
    sender: Member, recipient: Member, content: bytes, *, notice_id: bytes | None = None
) -> Notification:
    """A notice as it is handed to an application when its signature has been verified."""
    name = notice_id or sender.entropy.token(16)
    sent_at = sender.clock.wall_ms()
    notice = Notice(
        format=1,
        id=name,
        from_account=sender.me.account_id,
        from_device=1,
        to_account=recipient.me.account_id,
        sent_at=sent_at,
        expires_at=sent_at + 1,
        app=AppId.MAIL,
        content=content,
    )
    signed = SignedNotice(sign(sender.key, Kind.NOTICE, encode(notice)), b"", b"")
    return Notification(
        id=name,
        sender_name=sender.me.name,
        sender_account=sender.me.account_id,
        sent_at_ms=sent_at,
        app=AppId.MAIL,
        content=content,
        signed=encode(signed),
    )


def organisation(*certificates: AccountCert) -> list[Member]:
    """Make accounts that can write to each other; start each before it is used."""
    post, ring = Post(), MemoryRing()
    everybody = {certified.name: certified for certified in certificates}
    members = [
        Member(
            me=certified,
            post=post,
            ring=ring,
            names=MemoryNames(certified, everybody),
            entropy=CountingEntropy(certified.name.encode()),
        )
        for certified in certificates
    ]
    post.members.update((member.me.name, member) for member in members)
    return members


@asynccontextmanager
async def living(*members: Member) -> AsyncIterator[None]:
    """Start accounts, and stop them in the end."""
    for member in members:
        await member.start()
    try:
        yield
    finally:
        for member in members:
            await member.mail.stop()


def simple_mail(
    sender: str = "alice@example.org",
    to: str = "bob@example.org",
    subject: str = "lunch",
    body: str = "At noon?\r\n",
    extra: str = "",
) -> bytes:
    """A plain mail."""
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n{extra}"
        f"Date: Mon, 1 Jan 2024 12:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n\r\n{body}"
    ).encode()


ALICE = account("alice@example.org", aliases=("al@example.org",))
BOB = account("bob@example.org")
CAROL = account("carol@example.org")
