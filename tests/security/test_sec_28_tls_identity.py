"""Attack 28: TLS certificates and node certificates that do not belong together (real sockets)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from epost.crypto.signing import SigningKey
from epost.crypto.x509 import make_authority
from epost.daemon.tls import NodeIdentity
from epost.daemon.tls.frames import CloseReason, Frame, frame
from epost.daemon.tls.observed import LinkRefused, LinkUp
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import NodeHandle
from tests.support.tls import (
    NOW_MS,
    Machine,
    Ring,
    hello_of,
    node_id,
    office,
    raw_context,
    raw_peer,
    run,
    seed,
)

URI = "epost://{}/node/" + node_id(2).hex()
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


def forged_leaf(
    ring: Ring,
    *names: x509.GeneralName,
    key: bytes | None = None,
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    ends: timedelta = timedelta(days=1),
) -> bytes:
    """Return a leaf signed by the ring's own X.509 authority, with the names one likes."""
    issuer = x509.load_der_x509_certificate(ring.authority)
    authority = Ed25519PrivateKey.from_private_bytes(ring.authority_seed)
    node_key = SigningKey(key or ring.node_key(2)).public
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a node")]))
        .issuer_name(issuer.subject)
        .public_key(Ed25519PublicKey.from_public_bytes(node_key))
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=2))
        .not_valid_after(NOW + ends)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
            critical=False,
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority, None).public_bytes(serialization.Encoding.DER)


def uri(domain: str = "example.org") -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(URI.format(domain))


async def assert_refused(
    anna: Machine,
    identity: NodeIdentity,
    hello: bytes | None = None,
    *,
    context: ssl.SSLContext | None = None,
) -> tuple[CloseReason, str] | None:
    """Try to link; return what the node said, None if TLS itself ended it."""
    said = None
    try:
        async with raw_peer(anna.address, identity, context=context) as peer:
            peer.write(hello or hello_of(identity))
            said = await peer.closing()
    except (OSError, EOFError):
        pass
    await anna.events.until(lambda: anna.events.seen(LinkRefused))
    assert not anna.events.seen(LinkUp)
    assert (said is None) == ("[SSL" in str(anna.events.seen(LinkRefused)[0].error))
    return said


Attack = Callable[[Machine, Ring], Awaitable[None]]


def attack(story: Attack) -> Callable[[], None]:
    """Run a story against a fresh node."""

    def test() -> None:
        async def whole() -> None:
            async with office() as place:
                await story(place.start(1), place.ring)

        run(whole())

    test.__name__ = story.__name__
    test.__doc__ = story.__doc__
    return test


@attack
async def test_sec_28_the_honest_one_is_let_in(anna: Machine, ring: Ring) -> None:
    bert = replace(ring.identity(2), leaf=forged_leaf(ring, uri()))
    async with raw_peer(anna.address, bert) as peer:
        peer.write(hello_of(bert))
        await anna.events.until(lambda: anna.events.seen(LinkUp))


@pytest.mark.parametrize(
    "names",
    [
        (x509.DNSName("example.org"),),
        (uri(), x509.DNSName("mail.example.org")),
        (uri("example.com"),),
        (uri("sub.example.org"),),
        (x509.UniformResourceIdentifier("post-node:" + "0" * 40),),
    ],
    ids=["DNS name", "DNS name beside", "foreign host", "sub-domain", "no host"],
)
def test_sec_28_names_outside_the_constraints_are_refused_by_tls(
    names: tuple[x509.GeneralName, ...],
) -> None:
    async def story() -> None:
        async with office() as place:
            bert = replace(place.ring.identity(2), leaf=forged_leaf(place.ring, *names))
            assert await assert_refused(place.start(1), bert) is None

    run(story())


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.DNSName("epost.invalid"),),
        (uri(), uri()),
        (uri(), x509.DNSName("epost.invalid")),
        (x509.UniformResourceIdentifier("epost://example.org/node/" + "ab" * 19),),
        (x509.UniformResourceIdentifier("epost://example.org/node/" + "ab" * 20),),
    ],
    ids=["none", "permitted DNS name", "two", "URI and DNS name", "short id", "another id"],
)
def test_sec_28_what_tls_lets_pass_must_still_name_exactly_this_node(
    names: tuple[x509.GeneralName, ...],
) -> None:
    async def story() -> None:
        async with office() as place:
            bert = replace(place.ring.identity(2), leaf=forged_leaf(place.ring, *names))
            said = await assert_refused(place.start(1), bert)
            assert said is not None
            assert said[0] is CloseReason.NOT_AUTHENTIC

    run(story())


@attack
async def test_sec_28_an_expired_leaf_is_refused_by_tls(anna: Machine, ring: Ring) -> None:
    expired = forged_leaf(ring, uri(), ends=timedelta(days=-1))
    assert await assert_refused(anna, replace(ring.identity(2), leaf=expired)) is None


@attack
async def test_sec_28_a_leaf_for_servers_only_cannot_dial(anna: Machine, ring: Ring) -> None:
    leaf = forged_leaf(ring, uri(), usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    assert await assert_refused(anna, replace(ring.identity(2), leaf=leaf)) is None


@attack
async def test_sec_28_a_foreign_authority_is_refused_by_tls(anna: Machine, ring: Ring) -> None:
    foreign = Ring("example.com").identity(2)
    assert await assert_refused(anna, foreign) is None


@attack
async def test_sec_28_an_authority_of_the_same_domain_with_another_key_is_refused_by_tls(
    anna: Machine, ring: Ring
) -> None:
    impostor = Ring()
    impostor.authority_seed = seed("somebody else")
    start_ms = NOW_MS - DAY_MS
    impostor.authority = make_authority(
        impostor.authority_seed, ring.domain, not_before_ms=start_ms
    )
    assert await assert_refused(anna, impostor.identity(2)) is None


@attack
async def test_sec_28_without_client_certificate_tls_refuses(anna: Machine, ring: Ring) -> None:
    bert = ring.identity(2)
    assert await assert_refused(anna, bert, context=raw_context(None)) is None


@attack
async def test_sec_28_older_versions_of_tls_are_refused(anna: Machine, ring: Ring) -> None:
    bert = ring.identity(2)
    context = raw_context(bert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await assert_refused(anna, bert, context=context) is None


@attack
async def test_sec_28_a_node_certificate_for_another_key_is_refused(
    anna: Machine, ring: Ring
) -> None:
    bert = ring.identity(2)
    thief = replace(bert, leaf=forged_leaf(ring, uri(), key=seed("thief")), key_seed=seed("thief"))
    said = await assert_refused(anna, thief, hello_of(bert))
    assert said is not None
    assert "another key" in said[1]


@attack
async def test_sec_28_somebody_elses_certificate_and_handle_are_refused(
    anna: Machine, ring: Ring
) -> None:
    bert, carl = ring.identity(2), ring.identity(3)
    said = await assert_refused(anna, bert, hello_of(carl))
    assert said is not None
    assert said[0] is CloseReason.NOT_AUTHENTIC


@pytest.mark.parametrize(
    ("handle", "ring_of_handle"),
    [(node_id(3), None), (node_id(2), bytes(20))],
    ids=["another node", "another ring"],
)
def test_sec_28_a_handle_of_another_node_or_ring_is_refused(
    handle: bytes, ring_of_handle: bytes | None
) -> None:
    async def story() -> None:
        async with office() as place:
            bert = place.ring.identity(2)
            node = NodeHandle(ring_of_handle or place.ring.id, handle, ())
            said = await assert_refused(place.start(1), bert, hello_of(bert, node=node))
            assert said is not None
            assert said[0] is CloseReason.NOT_AUTHENTIC

    run(story())


@pytest.mark.parametrize(
    "changes",
    [{"not_after": NOW_MS - 1}, {"not_before": NOW_MS + 2 * DAY_MS}, {"ring": bytes(20)}],
    ids=["past its hard expiry", "not yet valid", "of another ring"],
)
def test_sec_28_a_node_certificate_not_in_force_is_refused(changes: dict[str, object]) -> None:
    async def story() -> None:
        async with office() as place:
            bert = place.ring.identity(2)
            certificate = place.ring.node_certificate(2, **changes)
            said = await assert_refused(
                place.start(1), bert, hello_of(bert, certificate=certificate)
            )
            assert said is not None
            assert said[0] is CloseReason.NOT_AUTHENTIC

    run(story())


@attack
async def test_sec_28_past_its_soft_expiry_a_node_certificate_still_serves(
    anna: Machine, ring: Ring
) -> None:
    bert = ring.identity(2)
    certificate = ring.node_certificate(2, soft_expiry=NOW_MS - 1)
    async with raw_peer(anna.address, bert) as peer:
        peer.write(hello_of(bert, certificate=certificate))
        await anna.events.until(lambda: anna.events.seen(LinkUp))


@attack
async def test_sec_28_a_revoked_node_is_refused(anna: Machine, ring: Ring) -> None:
    ring.revoked.add((2).to_bytes(16, "big"))
    said = await assert_refused(anna, ring.identity(2))
    assert said == (CloseReason.NOT_AUTHENTIC, "revoked")


@attack
async def test_sec_28_our_own_identity_at_the_other_end_is_refused(
    anna: Machine, ring: Ring
) -> None:
    said = await assert_refused(anna, anna.identity)
    assert said is not None
    assert said[0] is CloseReason.REFUSED


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"version_lowest": 3, "version_highest": 4}, CloseReason.NO_COMMON_VERSION),
        ({"version_lowest": 0, "version_highest": 0}, CloseReason.NO_COMMON_VERSION),
        ({"version_lowest": 2, "version_highest": 1}, CloseReason.BROKE_PROTOCOL),
    ],
)
def test_sec_28_without_a_common_version_the_link_is_refused_and_both_hear_why(
    versions: dict[str, int], reason: CloseReason
) -> None:
    async def story() -> None:
        async with office() as place:
            anna, bert = place.start(1), place.ring.identity(2)
            said = await assert_refused(anna, bert, hello_of(bert, **versions))
            assert said is not None
            assert said[0] is reason
            assert "version" in said[1]
            assert "version" in str(anna.events.seen(LinkRefused)[0].error)

    run(story())


@attack
async def test_sec_28_a_newer_peer_that_still_speaks_our_version_is_let_in(
    anna: Machine, ring: Ring
) -> None:
    bert = ring.identity(2)
    async with raw_peer(anna.address, bert) as peer:
        peer.write(hello_of(bert, version_highest=9))
        await anna.events.until(lambda: anna.events.seen(LinkUp))


@attack
async def test_sec_28_no_link_is_resumed(anna: Machine, ring: Ring) -> None:
    bert = ring.identity(2)
    context = raw_context(bert)

    def connect(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            socket.create_connection((anna.address.host, anna.address.port)) as plain,
            context.wrap_socket(plain, server_hostname="x", session=session) as link,
        ):
            link.sendall(hello_of(bert))
            link.recv(4096)
            assert not link.session_reused
            return link.session

    loop = asyncio.get_running_loop()
    first = await loop.run_in_executor(None, connect, None)
    assert first is not None
    assert not first.has_ticket
    await loop.run_in_executor(None, connect, first)


def test_sec_28_a_dialler_does_not_trust_a_server_of_a_foreign_authority() -> None:
    async def story() -> None:
        async with office() as place, office(Ring("example.com")) as elsewhere:
            anna, false = place.start(1), elsewhere.start(2)
            anna.transport.send(NodeHandle(place.ring.id, node_id(2), (false.address,)), b"secret")
            await anna.events.until(lambda: anna.events.unreachable)
            assert not false.events.messages
            assert not false.events.seen(LinkUp)

    run(story())


@attack
async def test_sec_28_a_message_before_hello_is_refused(anna: Machine, ring: Ring) -> None:
    said = await assert_refused(anna, ring.identity(2), frame(Frame.WHOLE, b"too early"))
    assert said is not None
    assert said[0] is CloseReason.BROKE_PROTOCOL
    assert not anna.events.messages
