"""News of the authority: believed only if signed, never older, and soon everywhere."""

from dataclasses import dataclass, field

import pytest

from epost.crypto.certificates import Power, account_key_hash
from epost.crypto.versioned import KeyBlock
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.effects import Caller, Outbox, Send, SetTimer
from epost.foundation.errors import (
    AuthenticityError,
    ConfigError,
    EpostError,
    MalformedPacket,
    UnexpectedPacket,
    UntrustedCertificate,
)
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import PutNote
from epost.foundation.wire import Application, unpack
from epost.rings.config import RingsConfig
from epost.rings.issuers import NOTES, Issuers
from epost.rings.messages import News
from epost.rings.observed import (
    AuthoritySilent,
    CertificateAged,
    IssuerEquivocated,
    NewsAccepted,
    NewsRefused,
)
from epost.rings.policy import Reason, RemovedIssuer, Revocation
from tests.support.organisation import START_MS, Organisation, key_of

ORG = Organisation()
POLICY = ORG.policy(k=3, enrolled=5)
SECOND_KEY = key_of("second issuer")
SECOND = ORG.certify_issuer(SECOND_KEY, 8)


@dataclass
class Office:
    """Some nodes, whose messages this delivers until none is left."""

    size: int = 3
    organisation: Organisation = field(default_factory=Organisation)

    def __post_init__(self) -> None:
        self.handles = [self.organisation.node(f"n{i}").handle for i in range(self.size)]
        self.notes: list[dict[bytes, bytes]] = [{} for _ in self.handles]
        self.events: list[object] = []
        self.outboxes = [Outbox() for _ in self.handles]
        self.nodes = [self.restart(i) for i in range(self.size)]

    def restart(self, i: int) -> Issuers:
        node = Issuers(
            self.organisation.trust(),
            Neighbours([h for h in self.handles if h != self.handles[i]]),
            NotesOf(self.notes[i]),
            outbox=self.outboxes[i],
            observer=self,
        )
        if hasattr(self, "nodes"):
            self.nodes[i] = node
        return node

    def record(self, event: object) -> None:
        self.events.append(event)

    def settle(self) -> int:
        """Deliver until nothing is left; return how many messages that took."""
        delivered = 0
        while queue := [(i, e) for i in range(self.size) for e in self.outboxes[i].drain()]:
            for i, effect in queue:
                match effect:
                    case Send(to, message):
                        delivered += 1
                        receiver = self.nodes[self.handles.index(to)]
                        receiver.on_notify(self.handles[i], unpack(message).body, 0.0)
                    case PutNote(table, key, value):
                        assert table == NOTES
                        self.notes[i][key] = value
                    case SetTimer(application, _, delay):
                        assert (application, delay) == (Application.RINGS, 60.0)
        return delivered


@dataclass
class Neighbours:
    nodes: list[NodeHandle]

    def neighbours(self) -> list[NodeHandle]:
        return sorted(self.nodes, key=lambda node: node.node_id)


@dataclass
class NotesOf:
    table: dict[bytes, bytes]

    def notes(self, _table: str) -> list[tuple[bytes, bytes]]:
        return sorted(self.table.items())


def test_before_any_news_the_default_holds() -> None:
    node = Office().nodes[0]
    assert node.replication_factor() == 3
    assert node.enrolled_storage_nodes() == 3
    assert node.admits_strangers(START_MS)
    assert node.is_stale(START_MS)
    assert node.blocks() == []


def test_what_the_authority_publishes_reaches_everybody() -> None:
    office = Office()
    block = ORG.issuer_block(ORG.policy(k=3, enrolled=2))
    office.nodes[0].publish(block.data)
    office.settle()
    for node in office.nodes:
        assert node.replication_factor() == 2
        assert node.blocks() == [block.data]
        assert not node.is_stale(START_MS)
    assert office.events.count(NewsAccepted(block.purpose, 1)) == 3
    assert office.settle() == 0, "nobody talks when nothing is new"


def test_a_newer_block_replaces_an_older_and_never_the_reverse() -> None:
    office = Office()
    first = ORG.issuer_block(POLICY)
    second = ORG.issuer_block(ORG.policy(enrolled=9), previous=first)
    office.nodes[0].publish(second.data)
    office.nodes[1].publish(first.data)
    office.settle()
    assert all(node.enrolled_storage_nodes() == 9 for node in office.nodes)
    office.nodes[0].publish(first.data)
    assert office.nodes[0].enrolled_storage_nodes() == 9
    assert office.settle() == 0


def test_a_restarted_node_remembers_and_a_new_one_asks() -> None:
    office = Office()
    root = ORG.root_block(ORG.issuer_certificate, SECOND)
    block = ORG.issuer_block(POLICY, key=SECOND_KEY)
    office.nodes[0].publish(root.data)
    office.nodes[0].publish(block.data)
    office.settle()
    assert office.restart(0).blocks() == [root.data, block.data]
    office.notes[2].clear()
    office.restart(2).on_start(0.0)
    office.settle()
    assert office.nodes[2].blocks() == [root.data, block.data]
    office.notes[2].clear()
    office.restart(2)
    office.nodes[0].update(office.handles[2], True, 0.0)
    office.nodes[0].update(office.handles[1], False, 0.0)
    office.settle()
    assert office.nodes[2].blocks() == [root.data, block.data]
    office.nodes[2].on_timer("gossip", 60.0)
    office.settle()


def test_revocations_of_all_issuers_with_that_power_count() -> None:
    office = Office(size=1)
    node = office.nodes[0]
    powerless = ORG.certify_issuer(key_of("third"), 9, int(Power.POLICY))
    node.publish(ORG.root_block(ORG.issuer_certificate, SECOND, powerless).data)
    for key, name in ((ORG.issuer_key, b"a"), (SECOND_KEY, b"b"), (key_of("third"), b"c")):
        revoked = (Revocation(name * 16, 1, START_MS),)
        node.publish(ORG.issuer_block(POLICY, revoked=revoked, key=key).data)
    assert [node.is_revoked(name * 16) for name in (b"a", b"b", b"c")] == [True, True, False]


def test_certificates_of_a_removed_issuer_are_void_beyond_its_last_entry() -> None:
    node = Office(size=1).nodes[0]
    root = ORG.root_block(ORG.issuer_certificate, SECOND, removed=(RemovedIssuer(7, 10),))
    node.publish(ORG.issuer_block(POLICY).data)
    node.publish(root.data)
    assert node.blocks() == [root.data], "its own block counts no longer"
    trust = node.trust
    for sequence, void in ((10, False), (11, True)):
        member = trust.verify_node(ORG.node("x", log_sequence=sequence).certificate, START_MS)
        assert node.is_node_revoked(member) is void
        user = ORG.user("alice", log_sequence=sequence)
        assert node.is_account_revoked(user.account_certificate, user.account) is void


def test_strangers_are_refused_when_the_news_is_a_month_old() -> None:
    node = Office(size=1).nodes[0]
    node.publish(ORG.issuer_block(POLICY).data)
    assert not node.is_stale(START_MS + 6 * DAY_MS)
    assert node.is_stale(START_MS + 8 * DAY_MS)
    assert node.admits_strangers(START_MS + 36 * DAY_MS)
    assert not node.admits_strangers(START_MS + 38 * DAY_MS)


def test_after_a_month_of_silence_only_nodes_met_before_are_linked() -> None:
    office = Office(size=1)
    node = office.nodes[0]
    node.publish(ORG.issuer_block(POLICY).data)
    member = node.trust.verify_node(ORG.node("x").certificate, START_MS)
    node.judge_link(member, is_known=False, now_ms=START_MS + 36 * DAY_MS)
    node.judge_link(member, is_known=True, now_ms=START_MS + 38 * DAY_MS)
    with pytest.raises(UntrustedCertificate, match="stranger"):
        node.judge_link(member, is_known=False, now_ms=START_MS + 38 * DAY_MS)
    assert sum(isinstance(event, AuthoritySilent) for event in office.events) == 1


def test_a_certificate_past_its_soft_expiry_is_linked_and_reported() -> None:
    office = Office(size=1)
    node = office.nodes[0]
    member = node.trust.verify_node(ORG.node("x").certificate, START_MS)
    node.judge_link(member, is_known=True, now_ms=member.soft_expiry - 1)
    assert not any(isinstance(event, CertificateAged) for event in office.events)
    node.judge_link(member, is_known=True, now_ms=member.soft_expiry)
    assert office.events[-1] == CertificateAged(member.id, member.not_after)


def test_a_revoked_node_is_not_linked() -> None:
    node = Office(size=1).nodes[0]
    member = node.trust.verify_node(ORG.node("x").certificate, START_MS)
    node.publish(ORG.issuer_block(POLICY, revoked=(Revocation(member.serial, 1, START_MS),)).data)
    with pytest.raises(UntrustedCertificate, match="revoked"):
        node.judge_link(member, is_known=True, now_ms=START_MS)


def test_a_key_that_another_followed_is_named_and_no_certificate_of_it_is_revoked() -> None:
    node = Office(size=1).nodes[0]
    user = ORG.user("alice")
    key_hash = account_key_hash(user.account.account_key)
    assert not node.is_key_succeeded(user.account)
    listed = (Revocation(key_hash, Reason.SUCCEEDED, START_MS),)
    node.publish(ORG.issuer_block(POLICY, revoked=listed).data)
    assert node.is_key_succeeded(user.account)
    assert not node.is_account_revoked(user.account_certificate, user.account)
    assert not node.is_key_succeeded(ORG.user("bob").account)


def test_the_number_told_in_hello_grows_with_every_block_even_if_an_issuer_goes() -> None:
    node = Office(size=1).nodes[0]
    numbers = [node.news_number]
    first = ORG.issuer_block(POLICY)
    for block in (
        first,
        ORG.issuer_block(ORG.policy(enrolled=9), previous=first),
        ORG.root_block(ORG.issuer_certificate, SECOND),
        ORG.issuer_block(POLICY, key=SECOND_KEY),
    ):
        node.publish(block.data)
        numbers.append(node.news_number)
    assert numbers == sorted(set(numbers))


def test_peers_whose_numbers_differ_compare_when_their_link_comes_up() -> None:
    office = Office(size=2)
    block = ORG.issuer_block(POLICY)
    office.nodes[0].publish(block.data)
    office.outboxes[0].drain()
    office.nodes[0].on_peer_number(office.handles[1], office.nodes[0].news_number)
    assert office.settle() == 0
    office.nodes[1].on_peer_number(office.handles[0], office.nodes[0].news_number)
    office.settle()
    assert office.nodes[1].blocks() == [block.data]


def test_neighbours_are_told_the_numbers_one_after_the_other() -> None:
    office = Office(size=4)
    told = []
    for _ in range(6):
        office.nodes[0].on_timer("gossip", 0.0)
        sends = [e for e in office.outboxes[0].drain() if isinstance(e, Send)]
        told.append([send.to.node_id for send in sends])
    others = sorted(handle.node_id for handle in office.handles[1:])
    assert sorted(told[:3]) == [[name] for name in others]
    assert told[:3] == told[3:]


def forged_blocks() -> list[KeyBlock]:
    foreign = Organisation("evil.example")
    later = ORG.issuer_block(POLICY)
    return [
        foreign.issuer_block(POLICY),
        foreign.root_block(),
        ORG.issuer_block(POLICY, key=key_of("nobody")),
        ORG.issuer_block(POLICY, key=SECOND_KEY),
        Organisation(now_ms=START_MS + 9).root_block(ORG.certify_issuer(SECOND_KEY, 8), b"x"),
        later,
    ]


@pytest.mark.parametrize("number", range(5))
def test_nothing_is_believed_that_the_pinned_key_does_not_stand_behind(number: int) -> None:
    office = Office(size=2)
    block = forged_blocks()[number]
    with pytest.raises(EpostError):
        office.nodes[0].publish(block.data)
    office.nodes[0].on_notify(office.handles[1], encode(News(block.data)), 0.0)
    assert isinstance(office.events[-1], NewsRefused)
    assert office.nodes[0].blocks() == []


def test_an_issuer_without_a_power_publishes_nothing() -> None:
    node = Office(size=1).nodes[0]
    node.publish(ORG.root_block(ORG.certify_issuer(SECOND_KEY, 8, int(Power.NODES))).data)
    with pytest.raises(UntrustedCertificate):
        node.publish(ORG.issuer_block(POLICY, key=SECOND_KEY).data)


def test_two_blocks_of_one_number_are_evidence_against_the_issuer() -> None:
    office = Office(size=1)
    office.nodes[0].publish(ORG.issuer_block(POLICY).data)
    office.nodes[0].publish(ORG.issuer_block(ORG.policy(enrolled=99)).data)
    assert isinstance(office.events[-1], IssuerEquivocated)
    assert office.nodes[0].enrolled_storage_nodes() == 5


def test_a_damaged_note_is_as_if_it_had_never_been() -> None:
    office = Office(size=1)
    office.notes[0][b"key"] = b"rubbish"
    assert office.restart(0).blocks() == []
    assert isinstance(office.events[-1], NewsRefused)


def test_what_is_not_for_it_is_refused_or_let_pass() -> None:
    office = Office(size=2)
    node, peer = office.nodes[0], office.handles[1]
    with pytest.raises(MalformedPacket):
        node.on_notify(peer, b"rubbish", 0.0)
    with pytest.raises(UnexpectedPacket):
        node.on_request(Caller(peer, Application.RINGS, 1), b"", 0.0)
    node.on_loaded(None, None, 0.0)
    node.on_unreachable(peer.id, 0.0)
    node.deliver(peer.id, peer, b"", 0.0)
    assert node.forward(peer.id, peer, b"", peer, 0.0)
    with pytest.raises(AuthenticityError):
        node.publish(ORG.issuer_block(POLICY).data[:-1] + b"\x00")


def test_settings_that_make_no_sense_are_refused() -> None:
    for bad in ({"gossip_seconds": 0}, {"replication_factor_default": 17}):
        with pytest.raises(ConfigError):
            RingsConfig(**bad)
