"""Attacks on what is stored (crypto 12: 12 to 15, 38); each works if its defence is missing."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from epost.crypto.hashing import derive, digest
from epost.crypto.signing import SigningKey
from epost.daemon.joining.membership import organisation_secret
from epost.foundation.codec import encode
from epost.foundation.errors import UntrustedCertificate
from epost.foundation.ids import Address, NodeHandle
from epost.post.accounts.keyring import EpochSecret
from epost.post.accounts.new_devices import create_account
from epost.post.storage import frames
from epost.post.storage.message_store import MessageStore, organisation_convergence
from epost.post.storage.references import Secrecy
from epost.rings.enrolment import (
    ANSWER,
    MemberRequest,
    check_answer,
    request_hash,
    sign_member_request,
)
from epost.rings.invite import parse_invite
from epost.simulation.clock import run
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose
from tests.support.post_world import Machine, World
from tests.unit.daemon.authority.test_renewing import Office

SECRET, LATER_SECRET = b"o" * 32, b"p" * 32
CONTRACT = hashlib.shake_256(b"the contract that everybody guesses at").digest(64 * 1024)
HERS = b"a secret of her own, for tracing"
TEMPLATE = b"Dear %s,\r\nyour salary is %d.\r\n"


def with_store(
    story: Callable[[Machine, MessageStore], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Run an attack on the message store of Alice, who has the organisation's secret."""

    def test() -> None:
        async def whole() -> None:
            alice = World().enrol("alice")
            post = await alice.start()
            give_secret(alice, EpochSecret(1, SECRET))
            await story(alice, post.services.messages)
            await alice.stop()

        run(whole())

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def give_secret(machine: Machine, secret: EpochSecret) -> None:
    known = machine.device.secrets
    secrets = (*known.organisation_secrets, secret)
    machine.device.use(msgspec.structs.replace(known, organisation_secrets=secrets))


def digest_of_guess(guess: bytes, secret: bytes) -> bytes:
    """What a guess would lie under, for whoever has (or believes to have) the secret."""
    framed = frames.encode_frame(guess)
    return digest("blk/content", frames.seal_frame(frames.convergent_key(secret, framed), framed))


def public_secret() -> bytes:
    """What the paper's convergent encryption uses: nothing that is secret."""
    return derive(bytes(32), "cvg/public").key


@with_store
async def test_sec_12_an_outsider_cannot_test_whether_a_guess_is_stored(
    alice: Machine, messages: MessageStore
) -> None:
    stored = set(alice.world.ring.blocks)
    await messages.store(CONTRACT, secrecy=Secrecy.CONVERGENT)
    (weak,) = set(alice.world.ring.blocks) - stored
    assert digest_of_guess(CONTRACT, public_secret()) == weak.digest, "the attack works"
    ours = await messages.store(CONTRACT + b"1")
    assert ours.reference.mode is Secrecy.ORGANISATION
    for secret in (bytes(32), b"another organisation's secret...", LATER_SECRET):
        for guess in (public_secret(), secret, organisation_convergence(secret)):
            assert digest_of_guess(CONTRACT + b"1", guess) != ours.reference.digest


@with_store
async def test_sec_12_who_left_cannot_test_what_is_stored_after_the_secret_changed(
    alice: Machine, messages: MessageStore
) -> None:
    leaver = organisation_convergence(SECRET)
    before = await messages.store(CONTRACT + b"before")
    assert digest_of_guess(CONTRACT + b"before", leaver) == before.reference.digest
    give_secret(alice, EpochSecret(2, LATER_SECRET))
    after = await messages.store(CONTRACT + b"after")
    assert after.reference.mode is Secrecy.ORGANISATION
    assert digest_of_guess(CONTRACT + b"after", leaver) != after.reference.digest
    assert await messages.fetch(before.reference) == CONTRACT + b"before"


@with_store
async def test_sec_13_a_member_cannot_fill_in_a_template_and_test_it(
    alice: Machine, messages: MessageStore
) -> None:
    """She has the secret: only what is large and not confidential may be tested by her."""
    member = organisation_convergence(SECRET)
    letter = TEMPLATE % (b"Bob", 4711)
    weak = await messages.store(letter, secrecy=Secrecy.ORGANISATION)
    assert digest_of_guess(letter, member) == weak.reference.digest, "the attack works"
    stored = set(alice.world.ring.blocks)
    small = await messages.store(TEMPLATE % (b"Bob", 4712))
    secret = await messages.store(CONTRACT + b"2", confidential=True)
    for plaintext, ours in (
        (TEMPLATE % (b"Bob", 4712), small),
        (CONTRACT + b"2", secret),
    ):
        assert ours.reference.mode is Secrecy.UNIQUE
        assert digest_of_guess(plaintext, member) != ours.reference.digest
    assert len(set(alice.world.ring.blocks) - stored) == 2
    (framed,) = {frames.encode_frame(TEMPLATE % (b"Bob", 4712))}
    again = frames.seal_frame(alice.ports.entropy.token(32), framed)
    assert digest("blk/content", again) != small.reference.digest


BOMB = """
import re, sys
import zstandard
from epost.crypto.boxes import padme
from epost.foundation.errors import EpostError
from epost.post.storage import frames

MIB = 1024 * 1024
deflating = zstandard.ZstdCompressor(level=3).compressobj()
bomb = b"".join(deflating.compress(bytes(MIB)) for _ in range(512)) + deflating.flush()
def framed(raw_length):
    body = bytes([1]) + raw_length.to_bytes(8, "big") + len(bomb).to_bytes(8, "big") + bomb
    return body + bytes(padme(len(body)) - len(body))
def peak():
    # Not ru_maxrss: that of a child begins with its parent's.
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024
before = peak()
for raw_length in (1000, 4 * MIB, 512 * MIB, 2**62):
    try:
        frames.decode_frame(framed(raw_length))
    except EpostError:
        continue
    sys.exit("accepted")
refusing = peak() - before
zstandard.ZstdDecompressor().stream_reader(bomb).read(256 * MIB)
print(refusing, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sec_15_a_compressed_bomb_is_refused_within_16_mb_of_memory() -> None:
    result = subprocess.run(
        [sys.executable, "-c", BOMB], capture_output=True, text=True, timeout=60, check=True
    )
    refusing, believing = map(int, result.stdout.split())
    assert believing > 100, "the attack works on whoever believes what it unpacks to"
    assert refusing <= 16


@pytest.mark.timeout(120)
def test_sec_38_a_stolen_disk_of_a_stopped_daemon_shows_no_word_of_the_mail(
    tmp_path: Path,
) -> None:
    """All that a daemon leaves behind is searched for what was in a mail, and for its keys."""
    words = (b"quarterly-rhubarb", b"crumble-for-everybody", b"not-in-the-address-book")

    async def story(org: Organisation) -> None:
        message_id, octets = compose(
            "alice@example.org", ["alice@example.org"], size=40_000, subject=words[0].decode()
        )
        octets = octets.replace(b"Hello.", words[1], 3)
        octets = octets.replace(b"MIME-Version", b"X-Secret: " + words[2] + b"\r\nMIME-Version", 1)
        await asyncio.to_thread(org.submit, "alice", "alice", octets)
        assert await asyncio.to_thread(org.read, "alice", message_id) == octets
        await org.stop("alice")
        for path in sorted((tmp_path / "alice").rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            for secret in (*words, message_id.encode(), org.passwords["alice"].encode()):
                assert secret not in content, f"{secret!r} lies in {path.name}"
        assert words[0] in octets
        assert words[1] in octets

    organisation(tmp_path, story)


def test_sec_14_a_member_who_is_given_another_secret_than_everybody_notices(
    tmp_path: Path,
) -> None:
    """By a secret of her own the authority could tell which stored files are hers."""
    office = Office(tmp_path)
    now, sealing = office.calendar.at, office.world.sealing
    invite = parse_invite(office.authority.invite("dora@example.org"), now)
    contact = NodeHandle(office.authority.trust.ring, bytes(20), (Address("c", 1),))
    new = create_account(
        b"d" * 32, contact=contact, now_ms=now, sealing=sealing, entropy=office.world.entropy
    )
    node, seed = SigningKey(b"n" * 32), new.secrets.sealing_seed
    request = MemberRequest(
        1, invite.token, "dora@example.org", new.keys.account.public, new.keys.recovery.public,
        new.recovery_sealing_key, new.device_certificate, sealing.public_key(seed), node.public,
        now,
    )  # fmt: skip
    signed = sign_member_request(
        request, account=new.keys.account, recovery=new.keys.recovery, node=node
    )
    honest = office.authority.enrol(signed)
    trust = office.authority.trust
    known = organisation_secret(check_answer(honest, request, trust, now), signed, seed, sealing)
    marked = msgspec.structs.replace(
        ANSWER.decode(honest),
        sealed_secret=sealing.seal(
            sealing.public_key(seed), "org-secret", request_hash(signed), HERS
        ),
    )
    enrolled = check_answer(encode(marked), request, trust, now)
    assert known.secret != HERS, "the rest of the answer is right"
    naive = sealing.unseal(seed, "org-secret", request_hash(signed), enrolled.answer.sealed_secret)
    assert naive == HERS, "the attack"
    with pytest.raises(UntrustedCertificate, match="not the one that the policy names"):
        organisation_secret(enrolled, signed, seed, sealing)
