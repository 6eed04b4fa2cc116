"""Whose a certificate is that somebody shows: verified once, judged every time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from epost.foundation.effects import Outbox
from epost.foundation.ids import NodeHandle, NodeId
from epost.node import credentials as module
from epost.node.credentials import NodeCredentials
from epost.rings.issuers import Issuers
from epost.rings.policy import Revocation
from tests.support.organisation import START_MS, Organisation

ORG = Organisation()


class Links:
    """A transport that had a link with one node."""

    def __init__(self, node: NodeId, certificate: bytes) -> None:
        self._known = {node: certificate}

    def certificate(self, node: NodeId) -> bytes | None:
        return self._known.get(node)


class World:
    """A clock, an empty vault, nobody near, and an observer of nothing."""

    now_ms = START_MS

    def now(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return self.now_ms

    def neighbours(self) -> Sequence[NodeHandle]:
        return ()

    def notes(self, _table: str) -> Sequence[tuple[bytes, bytes]]:
        return ()

    def record(self, event: object) -> None:
        pass


def made() -> tuple[NodeCredentials, Issuers, World]:
    world = World()
    member = ORG.node("x")
    credentials = NodeCredentials(Links(member.handle.id, member.certificate), world)  # type: ignore[arg-type]  # only this much of a transport
    issuers = Issuers(ORG.trust(), world, world, outbox=Outbox(), observer=world)
    credentials.issuers = issuers
    return credentials, issuers, world


def test_a_certificate_of_the_ring_names_its_holder() -> None:
    credentials, _, _ = made()
    member = ORG.node("x")
    assert credentials.certificate_of(member.handle.id) == member.certificate
    assert credentials.certificate_of(ORG.node("y").handle.id) is None
    for _ in range(2):
        assert credentials.holder_of(member.certificate) == member.handle.id


def test_what_does_not_verify_names_nobody() -> None:
    credentials, _, _ = made()
    foreign = Organisation("evil.example").node("x").certificate
    for certificate in (b"", b"rubbish", foreign, ORG.node("x").certificate[:-1] + b"\x00"):
        assert credentials.holder_of(certificate) is None


def test_one_that_was_revoked_or_expired_since_it_was_verified_names_nobody() -> None:
    credentials, issuers, world = made()
    member = ORG.node("x")
    verified = issuers.trust.verify_node(member.certificate, START_MS)
    assert credentials.holder_of(member.certificate) == member.handle.id
    world.now_ms = verified.not_after
    assert credentials.holder_of(member.certificate) is None
    world.now_ms = START_MS
    revoked = (Revocation(verified.serial, 1, START_MS),)
    issuers.publish(ORG.issuer_block(ORG.policy(), revoked=revoked).data)
    assert credentials.holder_of(member.certificate) is None


def test_the_memory_of_verified_certificates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERIFIED_MAX", 1)
    credentials, _, _ = made()
    for name in ("x", "y", "x"):
        member = ORG.node(name)
        assert credentials.holder_of(member.certificate) == member.handle.id
