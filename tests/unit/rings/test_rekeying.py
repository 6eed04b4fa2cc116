"""The request for other keys, and its answer, in golden bytes and within their limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from epost.crypto.certificates import NodeCert, certify
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import EpostError, NotPermitted, UntrustedCertificate
from epost.rings.rekeying import (
    REKEY_ANSWER,
    Rekeyed,
    check_rekeyed,
    is_rekey_request,
    open_rekey_request,
    sign_rekey_request,
)
from epost.rings.renewal import Denied, is_renewal
from tests.support.organisation import START_MS, Organisation, key_of
from tests.unit.crypto.test_rekeying import FIRST, KEYS, RECOVERY, after, step

VECTORS = Path(__file__).parents[2] / "vectors" / "rekeying.json"


def request(statement: bytes, node: bytes = b"node", now_ms: int = 1_700_000_000_000) -> bytes:
    return sign_rekey_request(
        statement, ring=FIRST.ring, account=KEYS[1], recovery=RECOVERY, node_certificate=node,
        node=KEYS[2], now_ms=now_ms,
    )  # fmt: skip


def test_the_formats_have_the_golden_bytes() -> None:
    golden = json.loads(VECTORS.read_text())
    assert request(step(1)).hex() == golden["request"]
    assert encode(Rekeyed(b"account")).hex() == golden["answer"]
    assert REKEY_ANSWER.decode(bytes.fromhex(golden["answer"])) == Rekeyed(b"account")


def test_a_request_is_none_for_renewal() -> None:
    assert is_rekey_request(request(step(1)))
    assert not is_renewal(request(step(1)))


@pytest.fixture
def machine() -> tuple[Organisation, bytes]:
    organisation = Organisation()
    node = NodeCert(
        1, 7, organisation.ring, bytes(20), KEYS[2].public, bytes(16), 1, (), b"", 0, bytes(16),
        0, START_MS - DAY_MS, START_MS + DAY_MS, START_MS + 2 * DAY_MS,
    )  # fmt: skip
    return organisation, certify(organisation.issuer_key, node)


def test_a_request_opens_on_the_day_it_was_made(machine: tuple[Organisation, bytes]) -> None:
    organisation, node = machine
    data = request(step(1), node, START_MS)
    asked = open_rekey_request(data, organisation.trust(), START_MS + DAY_MS)
    assert asked.rekeying.leads_to(after([step(1)]))
    with pytest.raises(NotPermitted, match="clocks"):
        open_rekey_request(data, organisation.trust(), START_MS + DAY_MS + 1)
    elsewhere = step(1, ring=bytes(20))
    with pytest.raises(UntrustedCertificate, match="another ring"):
        open_rekey_request(request(elsewhere, node, START_MS), organisation.trust(), START_MS)
    for changed in (data[:-1] + b"\0", data[:-1], data + b"\0"):
        with pytest.raises(EpostError):
            open_rekey_request(changed, organisation.trust(), START_MS)


def test_an_answer_is_for_the_keys_that_were_asked_for(
    machine: tuple[Organisation, bytes],
) -> None:
    organisation, _ = machine
    statement = step(1)
    valid = {"issuer": 7, "not_before": START_MS, "not_after": START_MS + DAY_MS}
    good = certify(organisation.issuer_key, after([statement], **valid))
    answer = encode(Rekeyed(good))
    account, data = check_rekeyed(answer, statement, organisation.trust(), START_MS)
    assert (account.generation, data) == (1, good)
    thief = key_of("thief")
    for asked in (
        step(1, account_key=KEYS[3].public),
        step(1, thief, former_key=thief.public),
    ):
        with pytest.raises(UntrustedCertificate, match="other keys"):
            check_rekeyed(answer, asked, organisation.trust(), START_MS)
    with pytest.raises(NotPermitted, match="no"):
        check_rekeyed(encode(Denied("no")), statement, organisation.trust(), START_MS)
