"""Renewal of certificates (crypto 3.10): when, what is asked for, and what counts as an answer.

A machine asks the daemons that issue for its organisation, which are the members of one group: an
anycast finds one of them. The request names the present certificate and is signed by the node's
key, so it may travel through anybody; the answer proves itself. The same request may be answered
again and again: what is not due yet is given as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    NODE_CERT,
    V1,
    AccountCert,
    NodeCert,
    OrganisationTrust,
)
from epost.crypto.hashing import digest
from epost.crypto.signed import is_signed_as, parse, sign
from epost.crypto.signing import Kind, SigningKey, verify
from epost.crypto.x509 import node_id_of, public_key_of, spki_sha256
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    MalformedPacket,
    NotPermitted,
    PeerError,
    UntrustedCertificate,
)
from epost.foundation.ids import ID_BYTES, U63, Bytes20, Id
from epost.foundation.wire import REFUSAL_TEXT_MAX

REQUEST_SIZE_MAX = CERTIFICATE_SIZE_MAX
X509_AUTHORITIES_MAX = 4
ANSWER_SIZE_MAX = (4 + X509_AUTHORITIES_MAX) * CERTIFICATE_SIZE_MAX
CLOCKS_APART_MS_MAX = DAY_MS
EXPIRED_MS_MAX = 365 * DAY_MS
"""How long after its end a certificate still proves who asks, at the enrolment port only."""
WARNED_BEFORE_MS = 60 * DAY_MS
"""How long before the end of a certificate its owner is told that nobody renews it."""

V2 = Annotated[int, msgspec.Meta(ge=2, le=2)]
Certificate = Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]
Authorities = Annotated[
    tuple[Certificate, ...], msgspec.Meta(min_length=1, max_length=X509_AUTHORITIES_MAX)
]


class RenewalRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a node signs; `at` is milliseconds since 1970 by its clock."""

    format: V1
    ring: Bytes20
    node: Certificate
    at: U63


class FullRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A request that a deputy can answer, who has no register: it carries what is renewed, and what
    the deputy gives as it is. `account` is empty if nobody uses the machine."""

    format: V2
    ring: Bytes20
    node: Certificate
    account: Certificate
    x509_authorities: Authorities
    x509_leaf: Certificate
    at: U63


class Granted(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The newest certificates of a machine; `account` is empty if nobody uses it.

    The X.509 certificates are DER; the first authority signed the leaf.
    """

    node: Certificate
    account: Certificate
    x509_authorities: Authorities
    x509_leaf: Certificate


class Denied(msgspec.Struct, tag=2, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Nothing is renewed; the text is for people."""

    text: Annotated[str, msgspec.Meta(max_length=REFUSAL_TEXT_MAX)]


RenewalAnswer = Granted | Denied

RENEWAL_REQUEST: Format[RenewalRequest] = Format(RenewalRequest, size_max=REQUEST_SIZE_MAX)
FULL_REQUEST: Format[FullRequest] = Format(FullRequest, size_max=REQUEST_SIZE_MAX)
RENEWAL_ANSWER: Format[RenewalAnswer] = Format(RenewalAnswer, size_max=ANSWER_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was checked: whose, and all that it carries, None for the short form."""

    node: NodeCert
    whole: FullRequest | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renewed:
    """An answer that was checked: what the machine shows from now on."""

    node: NodeCert
    account: AccountCert | None
    granted: Granted = field(repr=False)


def issuing_group(ring: bytes) -> Id:
    """Return the group of the daemons that issue certificates for a ring."""
    return Id(digest("group/issuing", ring)[:ID_BYTES])


def node_due_ms(node: NodeCert) -> int:
    """Return from when on a node's certificate is renewed: a third of the way to its soft end."""
    return node.not_before + (node.soft_expiry - node.not_before) // 3


def account_due_ms(account: AccountCert) -> int:
    """Return from when on an account's certificate is renewed: half of its life."""
    return (account.not_before + account.not_after) // 2


def due_ms(node: NodeCert, account: AccountCert | None) -> int:
    """Return when a machine asks next."""
    return min(node_due_ms(node), account_due_ms(account)) if account else node_due_ms(node)


def sign_renewal(node_certificate: bytes, ring: bytes, key: SigningKey, now_ms: int) -> bytes:
    """Return the request of a machine."""
    request = RenewalRequest(1, ring, node_certificate, now_ms)
    return sign(key, Kind.ENROL_NODE, encode(request))


def sign_full_renewal(request: FullRequest, key: SigningKey) -> bytes:
    """Return the request of a machine that shows all its certificates; `key` is the node's."""
    return sign(key, Kind.ENROL_NODE, encode(request))


def is_renewal(data: bytes) -> bool:
    """Is this, as far as its frame says, a renewal and not an enrolment?"""
    return is_signed_as(Kind.ENROL_NODE, data)


def open_renewal(
    data: bytes, trust: OrganisationTrust, now_ms: int, *, expired_ms_max: int = 0
) -> NodeCert:
    """Return the certificate of the machine that asks; raises as `open_asked`."""
    return open_asked(data, trust, now_ms, expired_ms_max=expired_ms_max).node


def open_asked(
    data: bytes, trust: OrganisationTrust, now_ms: int, *, expired_ms_max: int = 0
) -> Asked:
    """Return who asks, with what; raises PeerError, AuthenticityError, NotPermitted.

    Whether she was revoked is the issuer's to judge, and what else the request carries is verified
    by nobody yet. A certificate that ended up to `expired_ms_max` ago still counts.
    """
    if len(data) > REQUEST_SIZE_MAX:
        raise MalformedPacket("too long for a renewal")
    signed = parse(data, Kind.ENROL_NODE)
    request = _decode_request(signed.body)
    claimed = NODE_CERT.decode(parse(request.node, Kind.NODE).body)
    is_late = claimed.not_after <= now_ms < claimed.not_after + expired_ms_max
    node = trust.verify_node(request.node, claimed.not_after - 1 if is_late else now_ms)
    verify(node.node_key, Kind.ENROL_NODE, signed.body, signed.signature)
    if request.ring != trust.ring:
        raise UntrustedCertificate("a renewal for another ring")
    if abs(request.at - now_ms) > CLOCKS_APART_MS_MAX:
        raise NotPermitted("the clocks are more than a day apart")
    return Asked(node, request if isinstance(request, FullRequest) else None)


def _decode_request(body: bytes) -> RenewalRequest | FullRequest:
    try:
        return FULL_REQUEST.decode(body)
    except PeerError:
        return RENEWAL_REQUEST.decode(body)


def check_renewal(
    answer: bytes,
    present: NodeCert,
    account: AccountCert | None,
    trust: OrganisationTrust,
    now_ms: int,
) -> Renewed:
    """Verify an answer against what the machine has now.

    The account may have another name: its keys are what must stay. Of later keys of the account,
    whose descent is in the ring, the certificate is given as it is: not to be installed.
    Raises NotPermitted (denied, with the words of whoever answered), PeerError, AuthenticityError.
    """
    said = RENEWAL_ANSWER.decode(answer)
    if isinstance(said, Denied):
        raise NotPermitted(said.text)
    node = trust.verify_node(said.node, now_ms)
    if (node.node_id, node.node_key, node.member_tag) != (
        present.node_id,
        present.node_key,
        present.member_tag,
    ):
        raise UntrustedCertificate("a renewal for another machine")
    if node.not_before < present.not_before:
        raise UntrustedCertificate("a certificate older than the present one")
    _check_x509(said.x509_authorities, said.x509_leaf, node, trust)
    return Renewed(node, _renewed_account(said.account, account, trust, now_ms), said)


def _renewed_account(
    data: bytes, present: AccountCert | None, trust: OrganisationTrust, now_ms: int
) -> AccountCert | None:
    if present is None:
        return None
    account = trust.verify_account(data, now_ms)
    if account.account_id == present.account_id and account.generation > present.generation:
        return account
    if not account.has_keys_of(present):
        raise UntrustedCertificate("a renewal with other keys")
    if account.version < present.version and not account.is_former_name_of(present):
        raise UntrustedCertificate("an older certificate of the account")
    return account


def _check_x509(
    authorities: Sequence[bytes], leaf: bytes, node: NodeCert, trust: OrganisationTrust
) -> None:
    if public_key_of(leaf) != node.node_key or node_id_of(leaf) != (trust.domain, node.id):
        raise UntrustedCertificate("a TLS certificate for another node")
    certified = {issuer.x509_ca_spki_sha256 for issuer in trust.issuers}
    if any(spki_sha256(authority) not in certified for authority in authorities):
        raise UntrustedCertificate("an X.509 authority that no issuer certifies")
