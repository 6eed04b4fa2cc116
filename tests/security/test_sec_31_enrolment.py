"""Attack 31: invites intercepted, replayed, shown to the wrong authority (real TLS)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from epost.crypto.certificates import OrganisationTrust
from epost.crypto.signing import SigningKey
from epost.crypto.x509 import make_listener
from epost.daemon.enrolment import (
    EnrolmentLimits,
    EnrolmentServer,
    request_enrolment,
    serve_enrolment,
)
from epost.daemon.enrolment.listener import SOURCES_REMEMBERED_MAX, WrongTokens
from epost.daemon.tls.contexts import load_key
from epost.foundation.errors import (
    AuthenticityError,
    ConfigError,
    EpostError,
    NotPermitted,
    Overloaded,
    PeerError,
    PeerRefused,
    UnavailableError,
)
from epost.foundation.ids import Address
from epost.rings.enrolment import (
    GREETING_SIZE_MAX,
    REQUEST_SIZE_MAX,
    StorageRequest,
    make_greeting,
    open_request,
    request_hash,
    sign_storage_request,
)
from epost.rings.invite import Invite
from tests.support.tls import NOW_MS, Events, Ring, WallClock, free_port, run, seed

TOKEN = b"right token     "
NODE = SigningKey(seed("new node"))
QUICK = EnrolmentLimits(
    connect_seconds=1.0,
    greeting_seconds=0.3,
    request_seconds=0.3,
    answer_seconds=1.0,
    close_seconds=0.3,
)


def invite(ring: Ring, *ports: int, token: bytes = TOKEN) -> Invite:
    addresses = tuple(Address("127.0.0.1", port) for port in ports)
    return Invite(ring.trust.fingerprint, token, NOW_MS + 1000, addresses)


def signed_request(token: bytes = TOKEN, node: SigningKey = NODE) -> bytes:
    return sign_storage_request(StorageRequest(1, token, node.public, NOW_MS), node=node)


@dataclass
class Issuer:
    """Answers who shows the right token, each request the same way again."""

    requests: list[bytes] = field(default_factory=list)
    used: dict[bytes, bytes] = field(default_factory=dict)
    before_answer: Callable[[], Awaitable[None]] | None = None

    async def enrol(self, request: bytes, host: str) -> bytes:
        self.requests.append(request)
        opened = open_request(request)
        bound = self.used.setdefault(opened.token, request_hash(request))
        if opened.token != TOKEN or bound != request_hash(request):
            raise NotPermitted("no such invitation")
        if self.before_answer is not None:
            await self.before_answer()
        return b"answer to " + bound


@dataclass
class Place:
    ring: Ring
    issuer: Issuer
    server: EnrolmentServer
    events: Events

    async def ask(
        self, token: bytes = TOKEN, node: SigningKey = NODE
    ) -> tuple[OrganisationTrust, bytes]:
        request = signed_request(token, node)
        return await request_enrolment(
            invite(self.ring, self.server.port, token=token), lambda _: request, QUICK
        )


@asynccontextmanager
async def authority(limits: EnrolmentLimits = QUICK) -> AsyncIterator[Place]:
    ring, issuer, events = Ring(), Issuer(), Events()
    server = await serve_enrolment(
        Address("127.0.0.1", 0),
        key_seed=ring.enrolment_seed,
        greeting=greeting_of(ring),
        handle=issuer.enrol,
        clock=WallClock(),
        observer=events,
        limits=limits,
    )
    place = Place(ring, issuer, server, events)
    try:
        yield place
    finally:
        await place.server.close()


def greeting_of(ring: Ring) -> bytes:
    return make_greeting(ring.trust.organisation_certificate, ring.trust.issuer_certificates)


def framed(what: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + bytes((what,)) + payload


@asynccontextmanager
async def impostor(key_seed: bytes, says: bytes) -> AsyncIterator[tuple[int, bytearray]]:
    """Listen with another key, say something, and note everything that is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_key(context, make_listener(key_seed, not_before_ms=NOW_MS), key_seed)
    heard = bytearray()

    class Ear(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(says)  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            heard.extend(data)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Ear, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        await server.wait_closed()


def never(_: OrganisationTrust) -> bytes:
    raise AssertionError("a request was built for somebody who is not the authority")


@pytest.mark.parametrize("fast_loop", [True, False], ids=["uvloop", "asyncio"])
def test_a_right_token_is_answered_and_the_organisation_is_known_before_it_leaves(
    fast_loop: bool,
) -> None:
    async def story() -> None:
        async with authority() as place:
            known: list[str] = []

            def build(trust: OrganisationTrust) -> bytes:
                known.append(trust.domain)
                return signed_request()

            trust, answer = await request_enrolment(
                invite(place.ring, place.server.port), build, QUICK
            )
            assert known == [trust.domain] == ["example.org"]
            assert answer == b"answer to " + request_hash(place.issuer.requests[0])

    run(story(), fast_loop=fast_loop)


def test_sec_31_the_token_is_not_sent_to_another_authority() -> None:
    async def story() -> None:
        async with authority() as place:
            other = Ring("example.com")
            with pytest.raises(AuthenticityError, match="not the authority"):
                await request_enrolment(invite(other, place.server.port), never, QUICK)
            assert not place.issuer.requests

    run(story())


def test_sec_31_the_token_is_not_sent_to_somebody_in_the_middle() -> None:
    async def story() -> None:
        ring = Ring()
        async with impostor(seed("mallory"), framed(1, greeting_of(ring))) as (port, heard):
            with pytest.raises(AuthenticityError, match="listener's key"):
                await request_enrolment(invite(ring, port), never, QUICK)
            assert not heard

    run(story())


@pytest.mark.parametrize(
    "says",
    [
        framed(1, b"garbage"),
        framed(3, b"an answer at once"),
        (GREETING_SIZE_MAX + 1).to_bytes(4, "big") + b"\x01",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["garbage", "answer", "too long", "http"],
)
def test_sec_31_the_token_is_not_sent_to_who_says_something_else(says: bytes) -> None:
    async def story() -> None:
        async with impostor(seed("mallory"), says) as (port, heard):
            with pytest.raises(PeerError):
                await request_enrolment(invite(Ring(), port), never, QUICK)
            assert not heard

    run(story())


def test_a_silent_listener_is_given_up() -> None:
    async def story() -> None:
        async with impostor(seed("mallory"), b"") as (port, _):
            with pytest.raises(UnavailableError, match="no answer in time"):
                await request_enrolment(invite(Ring(), port), never, QUICK)

    run(story())


def test_the_other_addresses_are_tried_and_the_worst_failure_is_told() -> None:
    async def story() -> None:
        async with (
            authority() as place,
            impostor(seed("mallory"), framed(1, greeting_of(place.ring))) as (false, _),
        ):
            ports = (free_port(), false, place.server.port)
            _, answer = await request_enrolment(
                invite(place.ring, *ports), lambda _: signed_request(), QUICK
            )
            assert answer
            with pytest.raises(AuthenticityError):
                await request_enrolment(invite(place.ring, false, free_port()), never, QUICK)
            with pytest.raises(UnavailableError, match="127"):
                await request_enrolment(invite(place.ring, free_port()), never, QUICK)

    run(story())


def test_sec_31_a_replayed_invite_is_refused_and_the_same_request_answered_again() -> None:
    async def story() -> None:
        async with authority() as place:
            _, first = await place.ask()
            _, again = await place.ask()
            assert first == again
            with pytest.raises(PeerRefused, match="no such invitation"):
                await place.ask(node=SigningKey(seed("thief")))

    run(story())


def test_sec_31_a_conversation_cut_off_before_the_answer_may_be_repeated() -> None:
    async def story() -> None:
        async with authority(QUICK) as place:
            stuck = asyncio.Event()

            async def crash() -> None:
                stuck.set()
                await asyncio.Event().wait()

            place.issuer.before_answer = crash
            asking = asyncio.ensure_future(place.ask())
            await stuck.wait()
            await place.server.close()
            with pytest.raises(UnavailableError):
                await asking
            place.issuer.before_answer = None
            place.server = await serve_enrolment(
                Address("127.0.0.1", 0),
                key_seed=place.ring.enrolment_seed,
                greeting=greeting_of(place.ring),
                handle=place.issuer.enrol,
                clock=WallClock(),
                observer=place.events,
            )
            _, answer = await place.ask()
            assert answer == b"answer to " + request_hash(place.issuer.requests[0])

    run(story())


def test_sec_31_five_wrong_tokens_of_a_source_and_it_has_to_wait() -> None:
    async def story() -> None:
        async with authority() as place:
            guesses = [place.ask(token=b"%16d" % number) for number in range(8)]
            errors = await asyncio.gather(*guesses, return_exceptions=True)
            assert sum(isinstance(e, PeerRefused) for e in errors) == 5
            assert sum(isinstance(e, UnavailableError) for e in errors) == 3
            assert len(place.issuer.requests) == 5
            with pytest.raises(UnavailableError, match="wait an hour"):
                await place.ask()

    run(story())


def test_wrong_tokens_are_forgotten_after_their_time_and_bounded() -> None:
    wrong = WrongTokens(EnrolmentLimits(wrong_tokens_max=2, wrong_tokens_seconds=60.0))
    for at in (0.0, 30.0):
        assert wrong.may_try("192.0.2.1", at)
        wrong.note("192.0.2.1", at)
    assert not wrong.may_try("192.0.2.1", 59.0)
    assert wrong.may_try("192.0.2.2", 59.0)
    assert wrong.may_try("192.0.2.1", 61.0)
    for number in range(SOURCES_REMEMBERED_MAX):
        wrong.note(f"10.0.{number >> 8}.{number & 255}", 61.0)
    assert wrong.may_try("192.0.2.1", 31.0)


@asynccontextmanager
async def raw_client(place: Place) -> AsyncIterator[tuple[asyncio.Transport, asyncio.StreamReader]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: asyncio.StreamReaderProtocol(reader), "127.0.0.1", place.server.port, ssl=context
    )
    try:
        yield transport, reader
    finally:
        transport.abort()


@pytest.mark.parametrize(
    "says",
    [b"", framed(1, b""), (REQUEST_SIZE_MAX + 1).to_bytes(4, "big") + b"\x02", b"\0\0\xff\0\x02ab"],
    ids=["silent", "wrong frame", "too long", "stalled"],
)
def test_sec_31_a_client_that_sends_no_proper_request_is_cut_off(says: bytes) -> None:
    async def story() -> None:
        async with authority() as place, raw_client(place) as (transport, reader):
            transport.write(says)
            with contextlib.suppress(OSError):
                await reader.read()
            await place.events.until(lambda: place.events.observed)
            assert not place.issuer.requests

    run(story())


def test_sec_31_one_source_holds_only_a_few_conversations() -> None:
    async def story() -> None:
        limits = EnrolmentLimits(conversations_per_source_max=1, request_seconds=5.0)
        async with authority(limits) as place:
            async with raw_client(place) as (_, reader):
                await reader.read(1)
                with pytest.raises(UnavailableError):
                    await place.ask()
            await place.events.until(lambda: len(place.events.observed) == 2)
            await place.ask()

    run(story())


def test_errors_of_the_issuer_reach_the_member_as_words() -> None:
    async def story() -> None:
        async with authority() as place:

            async def busy() -> None:
                raise Overloaded("come back tomorrow")

            async def refuse() -> None:
                raise PeerRefused(7, "not you")

            for reaction, kind, text in (
                (busy, UnavailableError, "come back tomorrow"),
                (refuse, PeerRefused, "not you"),
            ):
                place.issuer.before_answer = reaction
                with pytest.raises(kind, match=text):
                    await place.ask()

    run(story())


def test_an_enrolment_port_that_is_taken_is_named() -> None:
    async def story() -> None:
        async with authority() as place:
            with pytest.raises(ConfigError, match=f"enrolment: .*port {place.server.port}"):
                await serve_enrolment(
                    Address("127.0.0.1", place.server.port),
                    key_seed=seed("x"),
                    greeting=b"",
                    handle=place.issuer.enrol,
                    clock=WallClock(),
                    observer=place.events,
                )

    run(story())


def test_an_invite_without_addresses_leads_nowhere() -> None:
    async def story() -> None:
        with pytest.raises(EpostError, match="no address"):
            await request_enrolment(invite(Ring()), never, QUICK)

    run(story())
