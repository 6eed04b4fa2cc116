"""The attacks of docs/threats.md work where their defence is left out.

Each row takes a test in which an attack is refused, leaves out the check that refuses it, and the
same test must fail: nothing was raised, or what the attacker wanted has happened. So that check is
what refuses the attack, and the test would notice if it went.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from epost.daemon.files import write_private
from epost.daemon.tls.hello import RingNews, make_hello, open_hello
from epost.foundation.errors import UntrustedCertificate
from epost.foundation.ids import point
from epost.past.blocks import Proven
from epost.past.pending import Receipt, claimed_receipt
from epost.past.versions import Verdict, order
from epost.post.logs.snapshot_format import open_root
from tests.security import test_sec_17_notices as notices
from tests.security import test_sec_25_rekeying as rekeying
from tests.security import test_sec_31_enrolment as enrolment
from tests.security import test_sec_45_names as names
from tests.security import test_sec_46_storage_liars as liars
from tests.security import test_sec_blocks as blocks
from tests.security import test_smtp_attacks as smtp
from tests.support import tls
from tests.unit.apps.mail.delivery import test_inbox as inbox
from tests.unit.crypto import test_certificates as certificates
from tests.unit.crypto import test_primitives as primitives
from tests.unit.daemon import test_files as files
from tests.unit.past import test_client as client
from tests.unit.past import test_limits as limits
from tests.unit.pastry import test_secure_routing as secure_routing
from tests.unit.post.logs import test_device_log as device_log
from tests.unit.post.logs import test_snapshots as snapshots
from tests.unit.post.storage import test_message_store as message_store
from tests.unit.rings import test_certified as certified
from tests.unit.rings import test_node_ids as node_ids
from tests.unit.servers.access import test_authenticator as authenticator

THREATS = Path(__file__).resolve().parents[2] / "docs/threats.md"
IN_ITS_OWN_TEST = {1, 4, 12, 13, 14, 15, 48}
"""Of these rows a test makes the attack itself without the defence; of row 1 in this file."""
NOT_WEAKENED = {
    22: "nobody is kept from anything: that mail arrives after months is what is shown",
    30: "nobody attacks: what is shown is that the ring goes on",
    32: "people compare the digits, and the test has people who do not",
    37: "limits; each has tests at the limit and beyond",
    39: "two users of one machine: needs root, and is made with real daemons",
    44: "old data, no attack",
    49: "work that is bounded: its tests count it",
}


def nothing(*_: Any, **__: Any) -> None:
    """Check nothing, and say nothing."""


def always(answer: Any) -> Callable[..., Any]:
    """Answer the same whatever is asked."""
    return lambda *_, **__: answer


def oldest(said: Any) -> Any:
    """Believe the one whose version is the oldest, as whoever asks one replica may."""
    return min((s.fetched for s in said if s.fetched), key=lambda f: order(f.proven), default=None)


async def believe(_: Any, data: bytes, **__: Any) -> Receipt:
    """Believe a receipt without a look at who signed it."""
    return claimed_receipt(data)


async def see_no_fork(*_: Any) -> None:
    """Sign without a comparison with the ring's head."""


def keep_for_anybody(keeping: Any, sender: Any, word: Any) -> bool:
    """Keep what anybody says that it has no room for."""
    admitted = keeping._admission.admit(
        word.handle, word.block, proof=b"", voucher=word.voucher, inserter=None
    )
    keeping._shelf.keep_for(sender.id, admitted, word.block)
    return True


async def chunks_as_they_come(store: Any, manifest: Any) -> AsyncIterator[bytes]:
    """Believe a manifest."""
    for chunk in manifest.chunks:
        _, raw = await store._fetch_block(chunk.digest, chunk.key)
        yield raw


async def announced_by_nobody(finding: Any, _sequence: int, announced: Any, records: Any) -> Any:
    """Believe what a head says of a snapshot, without a look at the log."""
    async for record in records(announced.covered):
        fetched = await finding._messages.fetch(announced.root)
        return open_root(fetched, announced, record.log_key)
    return None


def hello_of_somebody_else() -> None:
    """A node shows another one's certificate over its own link (28, without the sockets)."""
    ring = tls.Ring()
    anna, bert, carl = (ring.identity(number) for number in (1, 2, 3))
    hello = make_hello(carl.node, carl.certificate, RingNews(), tls.NOW_MS)
    with pytest.raises(UntrustedCertificate):
        open_hello(hello, leaf=bert.leaf, me=anna.node, ring=tls.View(ring), dialled=None)


@dataclass(frozen=True)
class Weakened:
    """A build without a defence against the attacks of a row, and the test that fails there."""

    row: int
    refused: Callable[..., None]
    without: Mapping[str, Any]
    in_folder: bool = False


BUILDS = (
    Weakened(
        2,
        primitives.test_sec_02_a_signature_of_one_context_verifies_in_no_other,
        {"epost.crypto.signing._message": lambda _kind, body: body},
    ),
    Weakened(
        3,
        primitives.test_sec_03_bytes_that_do_not_re_encode_to_themselves_are_refused,
        {"epost.foundation.codec.Format.decode": lambda self, data: self._decoder.decode(data)},
    ),
    Weakened(
        5,
        blocks.test_sec_05_a_content_block_is_its_hash_and_nothing_else,
        {"epost.past.blocks._prove_content": lambda handle, block: Proven(handle, len(block))},
    ),
    Weakened(
        6,
        blocks.test_sec_06_a_rollback_by_all_replicas_but_one_is_seen_and_named,
        {
            "epost.past.reading.newest": oldest,
            "epost.past.reading._newer": lambda said, own: said or own,
            "epost.past.reading.Readings._pin": nothing,
        },
    ),
    Weakened(
        7,
        client.test_nothing_older_than_what_was_seen_is_ever_returned,
        {"epost.past.pins.Pins.get": nothing},
    ),
    Weakened(
        8,
        blocks.test_sec_08_a_superseded_certificate_does_not_win,
        {"epost.past.admission.judge_fresh": always(Verdict.STORE)},
    ),
    Weakened(
        9,
        blocks.test_sec_09_two_bodies_of_one_version_are_both_kept_and_shown,
        {"epost.past.admission.judge_fresh": always(Verdict.STORE)},
    ),
    Weakened(
        10,
        partial(
            device_log.test_a_restored_backup_signs_no_version_twice_and_loses_nothing,
            tail_in_head=True,
        ),
        {"epost.post.logs.fork.Forks.compare": see_no_fork},
    ),
    Weakened(
        11,
        partial(blocks.test_sec_11_a_cluster_grows_only_by_its_log_s_key_and_chain, "other log"),
        {"epost.past.admission.check_extension": nothing},
    ),
    Weakened(
        16,
        message_store.test_manifests_that_lie_are_found_out,
        {"epost.post.storage.message_store.MessageStore._chunks": chunks_as_they_come},
    ),
    Weakened(
        17,
        notices.test_surreptitious_forwarding_is_refused,
        {"epost.post.notification.reception.require_addressed": nothing},
    ),
    Weakened(
        17,
        notices.test_a_reflected_notice_is_refused,
        {"epost.post.notification.reception.require_addressed": nothing},
    ),
    Weakened(
        18,
        notices.test_a_replay_gives_the_same_receipt_and_nothing_else,
        {"epost.post.notification.received.ReceivedNotices.find": nothing},
    ),
    Weakened(
        18,
        notices.test_a_notice_is_refused_outside_of_its_time,
        {"epost.post.notification.reception.require_current": nothing},
    ),
    Weakened(
        19,
        notices.test_a_forged_receipt_settles_nothing,
        {"epost.post.notification.receipts.Receipts.verify": believe},
    ),
    Weakened(
        19,
        blocks.test_sec_19_only_the_recipient_s_receipt_drops_a_notice,
        {"epost.past.admission.Admission._require_recipient": lambda _, stored, __: stored},
    ),
    Weakened(
        20,
        notices.test_a_replayed_presence_is_ignored,
        {"epost.post.notification.presence.PresenceCheck._require_newer": nothing},
    ),
    Weakened(
        21,
        blocks.test_sec_21_a_delegate_counts_only_with_its_own_signature,
        {"epost.past.insertion.Insertions._take_attestation": nothing},
    ),
    Weakened(
        23,
        files.test_a_destroyed_prekey_is_in_no_file_of_the_folder,
        {"epost.daemon.folder.replace_secret": write_private},
        in_folder=True,
    ),
    Weakened(
        24,
        notices.test_what_a_revoked_device_sent_is_marked_or_refused,
        {"epost.post.notification.reception._is_vouched": always(True)},
    ),
    Weakened(
        25,
        rekeying.test_sec_25_an_authority_names_no_keys_of_its_own_for_an_account,
        {"epost.post.accounts.contacts.descent": always(())},
    ),
    Weakened(
        26,
        certified.test_a_second_key_for_ones_name_is_found_and_renewals_are_not,
        {"epost.rings.certified.is_for": always(True)},
    ),
    Weakened(
        27,
        partial(
            certificates.test_sec_27_a_node_certificate_outside_its_rules_is_never_valid,
            {"ring": bytes(20)},
        ),
        {"epost.crypto.certificates._require_in_force": nothing},
    ),
    Weakened(
        27,
        partial(
            certificates.test_sec_27_an_account_certificate_outside_its_rules_is_never_valid,
            {"name": "Alice@example.org"},
        ),
        {"epost.crypto.certificates.is_canonical": always(True)},
    ),
    Weakened(
        28,
        hello_of_somebody_else,
        {"epost.daemon.tls.hello._require_same_node": nothing},
    ),
    Weakened(
        29,
        node_ids.test_the_draw_is_uniform_over_the_allowed_points,
        {"epost.rings.node_ids._draw": lambda gaps, _: point(gaps[0].after + 1)},
    ),
    Weakened(
        31,
        enrolment.test_sec_31_the_token_is_not_sent_to_another_authority,
        {"hmac.compare_digest": always(True)},
    ),
    Weakened(
        33,
        blocks.test_sec_33_a_revoked_node_inserts_nothing_any_more,
        {"epost.rings.issuers.Issuers.is_node_revoked": always(False)},
    ),
    Weakened(
        35,
        partial(
            inbox.test_a_mail_around_somebody_elses_name_is_refused,
            inbox.simple_mail("carol@example.org"),
        ),
        {"epost.apps.mail.delivery.inbox.require_own_names": nothing},
    ),
    Weakened(
        36,
        blocks.test_sec_36_a_ticket_is_for_its_blocks_and_its_node_only,
        {"epost.past.tickets.Vouched.require": nothing},
    ),
    Weakened(
        36,
        blocks.test_sec_36_nobody_stores_here_by_calling_it_repair,
        {
            "epost.past.pulling.Pulls.is_expected": always(True),
            "epost.past.pulling.Pulls.done": nothing,
        },
    ),
    Weakened(
        38,
        message_store.test_a_stolen_vault_holds_no_reference_in_the_clear,
        {"epost.post.sealed_notes.box": lambda _key, _name, plaintext: plaintext},
    ),
    Weakened(
        40,
        partial(smtp.test_other_protocols_are_hung_up_on_without_a_word, b"GET /\r\nEHLO me\r\n"),
        {"epost.servers.smtp.connection.looks_like_foreign_protocol": always(False)},
    ),
    Weakened(
        41,
        authenticator.test_failures_slow_down_every_way_to_log_in,
        {"epost.servers.access.throttle.FailureThrottle.failed": nothing},
    ),
    Weakened(
        42,
        snapshots.test_a_snapshot_announced_after_the_revocation_is_ignored,
        {"epost.post.logs.snapshot_finding._helps": always(True)},
    ),
    Weakened(
        42,
        partial(
            snapshots.test_a_snapshot_that_is_not_what_it_is_called_is_refused_and_the_log_read_whole,
            snapshots.of_another_branch,
        ),
        {"epost.post.logs.snapshot_finding.SnapshotFinding._verified": announced_by_nobody},
    ),
    Weakened(
        45,
        names.test_sec_45_nobody_is_sent_to_another_s_keys_by_a_change_of_name,
        {"epost.post.accounts.contacts.Contact.has_had_keys_of": always(True)},
    ),
    Weakened(
        46,
        liars.test_sec_46_a_distant_node_has_nothing_kept_in_its_place,
        {"epost.past.space.keeping.Keeping._keep": keep_for_anybody},
    ),
    Weakened(
        47,
        limits.test_one_member_leaves_half_of_a_recipient_s_notices_to_the_others,
        {"epost.past.allowances.PendingAllowances.require": nothing},
    ),
    Weakened(
        50,
        secure_routing.test_sec_50_who_is_named_as_the_origin_of_many_questions_is_not_flooded_with_answers,
        {"epost.foundation.rates.Rates.try_take": always(True)},
    ),
)


def _name(build: Weakened) -> str:
    return f"{build.row}-without-" + "-".join(name.rpartition(".")[2] for name in build.without)


@pytest.mark.no_cover
@pytest.mark.parametrize("build", BUILDS, ids=_name)
def test_the_attack_works_where_its_defence_is_left_out(
    build: Weakened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for defence, naive in build.without.items():
        monkeypatch.setattr(defence, naive)
    with pytest.raises((AssertionError, pytest.fail.Exception)) as failed:
        build.refused(*[tmp_path] if build.in_folder else [])
    assert "Regex pattern" not in str(failed.value), "another check refuses it as well"


def test_sec_01_a_library_that_takes_any_key_believes_one_of_small_order() -> None:
    key = primitives.SMALL_ORDER_KEYS[1]
    for message in (b"any message", b"any other"):
        Ed25519PublicKey.from_public_bytes(key).verify(key + bytes(32), message)


def test_every_attack_of_the_document_works_somewhere() -> None:
    rows = {int(row) for row in re.findall(r"^\| (\d+) \|", THREATS.read_text(), re.MULTILINE)}
    shown = {build.row for build in BUILDS} | IN_ITS_OWN_TEST
    assert rows == shown | NOT_WEAKENED.keys()
    assert not shown & NOT_WEAKENED.keys()
