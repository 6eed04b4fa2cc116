"""The request for a certificate of an account's other keys (docs/decisions/0060).

Three stand behind it: the account's present key, by its statement; the following keys, which sign
that statement as at an enrolment; and a machine in force of the member, which signs the request. So
it may travel through anybody. The same request may be made again, and is answered the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    V1,
    AccountCert,
    NodeCert,
    OrganisationTrust,
)
from epost.crypto.rekeying import (
    STATEMENT_BYTES_MAX,
    Rekeying,
    open_rekeying,
    proof_of,
)
from epost.crypto.signed import is_signed_as, open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey, verify
from epost.foundation.codec import Format, encode
from epost.foundation.errors import NotPermitted, UntrustedCertificate
from epost.foundation.ids import U63, Bytes20, Bytes64
from epost.rings.renewal import CLOCKS_APART_MS_MAX, Certificate, Denied

REQUEST_SIZE_MAX = CERTIFICATE_SIZE_MAX
ANSWER_SIZE_MAX = 2 * CERTIFICATE_SIZE_MAX


class RekeyRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a node signs; `statement` is a signed `Rekeying`, which the following account key signs
    as ENROL_ACCOUNT, and the following recovery key as ENROL_RECOVERY."""

    format: V1
    ring: Bytes20
    node: Certificate
    statement: Annotated[bytes, msgspec.Meta(max_length=STATEMENT_BYTES_MAX)]
    by_account: Bytes64
    by_recovery: Bytes64
    at: U63


class Rekeyed(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The account's certificate with the following keys."""

    account: Certificate


REKEY_REQUEST: Format[RekeyRequest] = Format(RekeyRequest, size_max=REQUEST_SIZE_MAX)
REKEY_ANSWER: Format[Rekeyed | Denied] = Format(Rekeyed | Denied, size_max=ANSWER_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class AskedToRekey:
    """A request whose signatures hold; whether that was the account's key is the issuer's to
    judge, and whether the machine is the member's."""

    node: NodeCert
    rekeying: Rekeying
    proof: bytes


def sign_rekey_request(
    statement: bytes,
    *,
    ring: bytes,
    account: SigningKey,
    recovery: SigningKey,
    node_certificate: bytes,
    node: SigningKey,
    now_ms: int,
) -> bytes:
    """Return the request; `account` and `recovery` are the following keys, `node` the machine's."""
    request = RekeyRequest(
        format=1,
        ring=ring,
        node=node_certificate,
        statement=statement,
        by_account=account.sign(Kind.ENROL_ACCOUNT, statement),
        by_recovery=recovery.sign(Kind.ENROL_RECOVERY, statement),
        at=now_ms,
    )
    return sign(node, Kind.ENROL_REKEY, encode(request))


def is_rekey_request(data: bytes) -> bool:
    """Is this, as far as its frame says, a request for other keys?"""
    return is_signed_as(Kind.ENROL_REKEY, data)


def open_rekey_request(data: bytes, trust: OrganisationTrust, now_ms: int) -> AskedToRekey:
    """Return who asks for what; raises PeerError, AuthenticityError, NotPermitted (the clocks)."""
    claimed = REKEY_REQUEST.decode(parse(data, Kind.ENROL_REKEY).body)
    node = trust.verify_node(claimed.node, now_ms)
    request = open_signed(data, Kind.ENROL_REKEY, node.node_key, REKEY_REQUEST)
    rekeying = open_rekeying(request.statement)
    verify(rekeying.account_key, Kind.ENROL_ACCOUNT, request.statement, request.by_account)
    verify(rekeying.recovery_key, Kind.ENROL_RECOVERY, request.statement, request.by_recovery)
    if {request.ring, rekeying.ring} != {trust.ring}:
        raise UntrustedCertificate("a request for another ring")
    if abs(request.at - now_ms) > CLOCKS_APART_MS_MAX:
        raise NotPermitted("the clocks are more than a day apart")
    return AskedToRekey(node, rekeying, proof_of(request.statement))


def check_rekeyed(
    answer: bytes, statement: bytes, trust: OrganisationTrust, now_ms: int
) -> tuple[AccountCert, bytes]:
    """Return the account with the following keys, and its certificate as it travels.

    Raises NotPermitted (denied, with the words of whoever answered), PeerError, AuthenticityError.
    """
    said = REKEY_ANSWER.decode(answer)
    if isinstance(said, Denied):
        raise NotPermitted(said.text)
    account = trust.verify_account(said.account, now_ms)
    is_asked_for = open_rekeying(statement).leads_to(account)
    if not is_asked_for or account.rekey_proof != proof_of(statement):
        raise UntrustedCertificate("a certificate of other keys than were asked for")
    return account, said.account
