"""One key of an account hands over to the next, and nobody else does it for her."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from epost.crypto.certificates import AccountCert, account_id_of
from epost.crypto.names import ring_of
from epost.crypto.rekeying import (
    REKEYING,
    REKEYINGS_MAX,
    Rekeying,
    descent,
    follows,
    open_rekeying,
    proof_of,
    sign_rekeying,
    statements_among,
)
from epost.crypto.signed import parse, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import encode
from epost.foundation.errors import (
    BadSignature,
    EpostError,
    MalformedPacket,
    UntrustedCertificate,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "rekeying.json"
KEYS = [SigningKey(bytes([n]) * 32) for n in range(1, 6)]
RECOVERY, THIEF = SigningKey(bytes([9]) * 32), SigningKey(bytes([8]) * 32)
SMALL_ORDER = b"\x01" + bytes(31)
FIRST = AccountCert(
    1, 7, ring_of("example.org"), "alice@example.org", account_id_of(KEYS[0].public), 0,
    KEYS[0].public, RECOVERY.public, bytes(32), (), 0, 1, b"", 0, 0, 1,
)  # fmt: skip


def step(generation: int, key: SigningKey | None = None, **changes: Any) -> bytes:
    """The statement by which a key of alice hands over to the next one."""
    rekeying = Rekeying(
        1, FIRST.ring, FIRST.account_id, generation, KEYS[generation - 1].public,
        KEYS[generation].public, RECOVERY.public, bytes(32),
    )  # fmt: skip
    changed = msgspec.structs.replace(rekeying, **changes)
    return sign_rekeying(key or KEYS[generation - 1], changed)


def after(steps: list[bytes], **changes: Any) -> AccountCert:
    last = REKEYING.decode(parse(steps[-1], Kind.REKEY).body)
    said = {
        "generation": last.generation,
        "account_key": last.account_key,
        "recovery_key": last.recovery_key,
        "recovery_sealing_hash": last.recovery_sealing_hash,
        "rekey_proof": proof_of(steps[-1]),
        "version": 1 + last.generation,
    }
    return msgspec.structs.replace(FIRST, **{**said, **changes})


def test_the_keys_of_an_account_descend_from_the_one_that_gave_it_its_id() -> None:
    steps = [step(n) for n in (1, 2, 3)]
    assert descent(FIRST, [b"something else", *steps]) == (KEYS[0].public,)
    for number in (1, 2, 3):
        account = after(steps[:number])
        keys = tuple(key.public for key in KEYS[: number + 1])
        assert descent(account, [b"something else", *steps[:number]]) == keys
    assert follows(after(steps[:1]), FIRST)
    assert follows(after(steps[:2]), after(steps[:1]))
    assert not follows(after(steps[:2]), FIRST), "for that the statement in between is needed"
    assert not follows(FIRST, after(steps[:1])), "never backwards"
    assert not follows(FIRST, FIRST)
    assert statements_among([b"x", *steps]) == steps


STEPS = [step(1), step(2)]
MALLORYS = account_id_of(THIEF.public)


@pytest.mark.parametrize(
    ("account", "statements", "error"),
    [
        (after(STEPS), [], UntrustedCertificate),
        (after(STEPS), STEPS[1:], UntrustedCertificate),
        (after(STEPS), STEPS[::-1], UntrustedCertificate),
        (after(STEPS), [*STEPS, step(3)], UntrustedCertificate),
        (after(STEPS[:1]), STEPS, UntrustedCertificate),
        # The authority names a key of its own, without a statement, or with one for other keys.
        (after(STEPS[:1], account_key=THIEF.public), STEPS[:1], UntrustedCertificate),
        (after(STEPS[:1], recovery_key=THIEF.public), STEPS[:1], UntrustedCertificate),
        (after(STEPS[:1], recovery_sealing_hash=b"\1" * 32), STEPS[:1], UntrustedCertificate),
        (after(STEPS[:1], rekey_proof=b""), STEPS[:1], UntrustedCertificate),
        (after(STEPS[:1], rekey_proof=proof_of(STEPS[1])), STEPS[:1], UntrustedCertificate),
        (after(STEPS[:1], account_id=MALLORYS), STEPS[:1], UntrustedCertificate),
        (after(STEPS[:1], ring=bytes(20)), STEPS[:1], UntrustedCertificate),
        (msgspec.structs.replace(FIRST, account_id=MALLORYS), [], UntrustedCertificate),
    ],
)
def test_keys_that_no_former_key_handed_over_to_are_refused(
    account: AccountCert, statements: list[bytes], error: type[EpostError]
) -> None:
    with pytest.raises(error):
        descent(account, statements)


@pytest.mark.parametrize(
    ("forged", "error"),
    [
        (step(1, THIEF), BadSignature),
        (step(1, THIEF, former_key=THIEF.public), UntrustedCertificate),
        (step(1, KEYS[1], former_key=KEYS[1].public), UntrustedCertificate),
        (step(1, account_id=MALLORYS), UntrustedCertificate),
        (step(1, ring=bytes(20)), UntrustedCertificate),
        (step(1, account_key=SMALL_ORDER), MalformedPacket),
        (sign(KEYS[0], Kind.REKEY, encode((1, 2, 3))), MalformedPacket),
    ],
)
def test_forged_statements_are_refused(forged: bytes, error: type[EpostError]) -> None:
    account = after([step(1)], rekey_proof=proof_of(forged))
    with pytest.raises(error):
        descent(account, [forged])
    assert not follows(account, FIRST)


def test_a_signature_of_another_kind_is_no_statement() -> None:
    body = parse(step(1), Kind.REKEY).body
    proof = parse(sign(KEYS[0], Kind.IDENTITY, body), Kind.IDENTITY).signature
    account = after([step(1)], rekey_proof=proof)
    assert not follows(account, FIRST)
    with pytest.raises(UntrustedCertificate):
        descent(account, [sign(KEYS[0], Kind.IDENTITY, body)])


def test_an_account_has_other_keys_so_often_and_no_oftener() -> None:
    rekeying = REKEYING.decode(parse(step(1), Kind.REKEY).body)
    last = msgspec.structs.replace(rekeying, generation=REKEYINGS_MAX)
    assert open_rekeying(sign_rekeying(KEYS[0], last)) == last
    beyond = msgspec.structs.replace(rekeying, generation=REKEYINGS_MAX + 1)
    with pytest.raises(MalformedPacket):
        open_rekeying(sign_rekeying(KEYS[0], beyond))


def test_a_statement_has_the_golden_bytes() -> None:
    golden = json.loads(VECTORS.read_text())["statement"]
    assert step(1).hex() == golden
    assert descent(after([step(1)]), [bytes.fromhex(golden)])[1] == KEYS[1].public
