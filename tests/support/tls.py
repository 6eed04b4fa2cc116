"""A ring with its authorities, and real transports of its nodes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop

from epost.crypto.certificates import (
    IssuerCert,
    NodeCert,
    NodeRole,
    OrganisationTrust,
    OrgCert,
    Power,
    certify,
)
from epost.crypto.names import ring_of
from epost.crypto.signing import SigningKey
from epost.crypto.x509 import key_spki_sha256, make_authority, make_leaf
from epost.daemon.tls import NodeIdentity, RingNews, TlsTransport, TransportConfig, listen
from epost.daemon.tls.contexts import load_key
from epost.daemon.tls.frames import CloseReason, Frame, frame
from epost.daemon.tls.hello import Hello
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import ConfigError, UntrustedCertificate
from epost.foundation.ids import Address, NodeHandle, NodeId, point

NOW_MS = int(time.time() * 1000)
"""OpenSSL compares with the real clock, so must these certificates."""


def run(story: Coroutine[Any, Any, None], *, fast_loop: bool = True) -> None:
    """Run a story on uvloop, or on asyncio's own loop; a hung one fails."""
    factory = uvloop.new_event_loop if fast_loop else asyncio.new_event_loop

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(bounded())


def seed(*names: object) -> bytes:
    return hashlib.sha256(repr(names).encode()).digest()


@dataclass
class WallClock:
    def now(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return NOW_MS


class CountingEntropy:
    def __init__(self, number: int) -> None:
        self._count = number << 32

    def token(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._count.to_bytes(8, "big")).digest(size)


@dataclass
class Events:
    """What a transport reported, and a way to wait for it."""

    messages: list[tuple[NodeHandle, bytes]] = field(default_factory=list)
    unreachable: list[NodeId] = field(default_factory=list)
    observed: list[object] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    react: Callable[[NodeHandle, bytes], None] | None = None

    def on_message(self, sender: NodeHandle, message: bytes) -> None:
        if self.react is not None:
            self.react(sender, message)
        else:
            self.messages.append((sender, message))
        self._changed.set()

    def on_unreachable(self, node: NodeId) -> None:
        self.unreachable.append(node)
        self._changed.set()

    def record(self, event: object) -> None:
        self.observed.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; it is looked at whenever anything was reported, and now
        and then in case it depends on something else."""
        while not condition():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.01)

    def seen(self, kind: type) -> list[Any]:
        return [event for event in self.observed if isinstance(event, kind)]


class Ring:
    """An organisation with one issuer and one X.509 authority."""

    def __init__(self, domain: str = "example.org") -> None:
        self.domain = domain
        self.id = ring_of(domain)
        root = SigningKey(seed(domain, "root"))
        self.issuer = SigningKey(seed(domain, "issuer"))
        self.authority_seed = seed(domain, "x509")
        self.enrolment_seed = seed(domain, "enrolment")
        self.authority = make_authority(self.authority_seed, domain, not_before_ms=NOW_MS - DAY_MS)
        start, end = NOW_MS - DAY_MS, NOW_MS + 300 * DAY_MS
        organisation = OrgCert(1, domain, self.id, 0, root.public, 8, start, end)
        issuer = IssuerCert(
            1,
            self.id,
            self.issuer.public,
            SigningKey(seed(domain, "log")).public,
            int(Power.ACCOUNTS | Power.NODES),
            key_spki_sha256(SigningKey(self.enrolment_seed).public),
            key_spki_sha256(SigningKey(self.authority_seed).public),
            1,
            start,
            end,
        )
        self.trust = OrganisationTrust(certify(root, organisation), [certify(root, issuer)])
        self.revoked: set[bytes] = set()

    def node_key(self, number: int) -> bytes:
        return seed(self.domain, "node", number)

    def node_certificate(self, number: int, **changes: Any) -> bytes:
        """Sign a NodeCert with some fields changed."""
        certificate = NodeCert(
            1,
            1,
            self.id,
            node_id(number),
            SigningKey(self.node_key(number)).public,
            bytes(16),
            int(NodeRole.STORAGE),
            (),
            b"",
            0,
            number.to_bytes(16, "big"),
            number,
            NOW_MS - DAY_MS,
            NOW_MS + 90 * DAY_MS,
            NOW_MS + 400 * DAY_MS,
        )
        changed = {name: changes.get(name, value) for name, value in _fields(certificate)}
        return certify(self.issuer, NodeCert(**changed))

    def leaf(self, number: int, *, not_before_ms: int = NOW_MS - DAY_MS) -> bytes:
        return make_leaf(
            self.authority_seed,
            self.authority,
            node_key=SigningKey(self.node_key(number)).public,
            node_id=node_id(number),
            not_before_ms=not_before_ms,
        )

    def identity(self, number: int, *addresses: Address) -> NodeIdentity:
        return NodeIdentity(
            NodeHandle(self.id, node_id(number), addresses),
            self.node_certificate(number),
            self.leaf(number),
            (self.authority,),
            self.node_key(number),
        )


def _fields(certificate: NodeCert) -> list[tuple[str, Any]]:
    return [(name, getattr(certificate, name)) for name in certificate.__struct_fields__]


def node_id(number: int) -> NodeId:
    return NodeId(point(number << 128))


@dataclass
class View:
    """A RingView over the builder's trust."""

    ring: Ring
    told: RingNews = field(default_factory=RingNews)
    heard: list[tuple[NodeHandle, RingNews, int]] = field(default_factory=list)

    def verify(self, certificate: bytes) -> NodeCert:
        verified = self.ring.trust.verify_node(certificate, NOW_MS)
        if verified.serial in self.ring.revoked:
            raise UntrustedCertificate("revoked")
        return verified

    def news(self) -> RingNews:
        return self.told

    def on_news(self, node: NodeHandle, news: RingNews, clock_ms: int) -> None:
        self.heard.append((node, news, clock_ms))


@dataclass
class Machine:
    """One node's transport with what it reported."""

    transport: TlsTransport
    events: Events
    view: View
    identity: NodeIdentity

    @property
    def node(self) -> NodeHandle:
        return self.identity.node

    @property
    def address(self) -> Address:
        return self.node.addresses[0]


Change = Callable[[NodeIdentity], NodeIdentity]


@dataclass
class Office:
    """Starts transports and closes them all in the end."""

    ring: Ring
    config: TransportConfig
    machines: list[Machine] = field(default_factory=list)
    is_overloaded: Callable[[], bool] = lambda: False

    def start(
        self,
        number: int,
        *,
        port: int = 0,
        config: TransportConfig | None = None,
        change: Change = lambda identity: identity,
    ) -> Machine:
        listener = listen(Address("127.0.0.1", port), purpose="ring")
        address = Address("127.0.0.1", listener.getsockname()[1])
        identity = change(self.ring.identity(number, address))
        events, view = Events(), View(self.ring)
        try:
            transport = TlsTransport(
                identity,
                view,
                listeners=[listener],
                clock=WallClock(),
                entropy=CountingEntropy(number),
                observer=events,
                config=config or self.config,
                is_overloaded=lambda: self.is_overloaded(),
            )
        except ConfigError:
            listener.close()
            raise
        transport.start(events)
        machine = Machine(transport, events, view, identity)
        self.machines.append(machine)
        return machine

    async def close(self) -> None:
        for machine in self.machines:
            await machine.transport.close()


QUICK = TransportConfig(
    connects_per_network_per_second=1000,
    connects_per_second=1000,
    close_seconds=1.5,
    linger_seconds=0.6,
    dial_stagger_seconds=0.05,
    dial_round_pause_seconds=0.02,
    backoff_seconds_min=0.01,
    backoff_seconds_max=0.02,
    sweep_seconds=0.02,
    overload_pause_seconds=0.005,
)


@asynccontextmanager
async def office(
    ring: Ring | None = None, config: TransportConfig = QUICK
) -> AsyncIterator[Office]:
    place = Office(ring or Ring(), config)
    try:
        yield place
    finally:
        await place.close()


class RawPeer:
    """A client that writes what it likes to a node's ring port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def tls(self) -> ssl.SSLObject:
        return self._writer.get_extra_info("ssl_object")

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def frame(self) -> tuple[Frame, bytes]:
        """Return the next frame; raises EOFError or OSError once the node has closed."""
        word = int.from_bytes(await self._reader.readexactly(4), "big")
        return Frame(word >> 24), await self._reader.readexactly(word & 0xFFFFFF)

    async def closing(self) -> tuple[CloseReason, str]:
        """Return the reason of the CLOSE that ends what the node has to say."""
        while True:
            kind, payload = await self.frame()
            if kind is Frame.CLOSE:
                return CloseReason(payload[0]), payload[1:].decode()

    async def end(self) -> None:
        """Return when the node has closed the connection."""
        with contextlib.suppress(OSError):
            while await self._reader.read(65536):
                pass

    def stop_reading(self) -> None:
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def abort(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def raw_peer(
    address: Address,
    identity: NodeIdentity | None,
    *,
    context: ssl.SSLContext | None = None,
    local: str = "127.0.0.1",
) -> AsyncIterator[RawPeer]:
    """Connect with a node's ticket to TLS, or without any (None), from a loopback address."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_connection(
        lambda: protocol,
        address.host,
        address.port,
        ssl=context or raw_context(identity),
        server_hostname="epost.invalid",
        local_addr=(local, 0),
    )
    peer = RawPeer(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
    try:
        yield peer
    finally:
        peer.abort()


def raw_context(identity: NodeIdentity | None) -> ssl.SSLContext:
    """Return a client's TLS context that takes any server for the right one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        load_key(context, identity.leaf, identity.key_seed)
    return context


def hello_of(identity: NodeIdentity, **changes: Any) -> bytes:
    """Return a node's HELLO frame with some fields changed."""
    fields = {
        "format": 1,
        "version_lowest": 1,
        "version_highest": 1,
        "certificate": identity.certificate,
        "clock_ms": NOW_MS,
        "issuer_block_number": 0,
        "log_sequence": 0,
        "log_tip": bytes(32),
        "node": identity.node,
    }
    return frame(Frame.HELLO, encode(Hello(**(fields | changes))))


def free_port() -> int:
    """Return a loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
