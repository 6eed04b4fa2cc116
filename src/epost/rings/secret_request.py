"""How a device asks for the organisation's secret of a new epoch; what it is given (crypto 5.5).

The policy says which epoch is in force and commits to its secret. Whoever finds that she has an
older one asks the daemons that issue, as for renewal. The request is signed by the machine and
names the device that its user's account certified: the secret is sealed to that device's key, which
is not on the disk of a machine that only unlocks by itself, and bound to this one request.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    DEVICE_CERT,
    V1,
    AccountCert,
    NodeCert,
    OrganisationTrust,
    open_device_certificate,
)
from epost.crypto.hashing import derive, digest
from epost.crypto.signed import is_signed_as, open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import Format, encode
from epost.foundation.errors import (
    MalformedPacket,
    NotPermitted,
    UntrustedCertificate,
)
from epost.foundation.ids import U32, U63, Bytes20, Digest
from epost.foundation.ports import Sealing
from epost.rings.enrolment import SealingKey, sealing_key_hash
from epost.rings.policy import Policy
from epost.rings.renewal import CLOCKS_APART_MS_MAX, Certificate, Denied

REQUEST_SIZE_MAX = CERTIFICATE_SIZE_MAX
SEALED_SIZE_MAX = 4096
SEAL_CONTEXT = "org-secret"


class SecretRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a node signs for the device of its user; `at` is milliseconds since 1970."""

    format: V1
    ring: Bytes20
    node: Certificate
    device: Certificate
    sealing_key: SealingKey
    at: U63


class SecretGiven(msgspec.Struct, tag=1, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The secret in force, sealed with context "org-secret", bound to the hash of the request."""

    epoch: U32
    sealed: Annotated[bytes, msgspec.Meta(max_length=SEALED_SIZE_MAX)]


SECRET_REQUEST: Format[SecretRequest] = Format(SecretRequest, size_max=REQUEST_SIZE_MAX)
SECRET_ANSWER: Format[SecretGiven | Denied] = Format(
    SecretGiven | Denied, size_max=SEALED_SIZE_MAX + 256
)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for the secret; whether she may have it is the issuer's to judge."""

    node: NodeCert
    sealing_key: bytes
    _device: bytes = field(repr=False)

    def require_device_of(self, account: AccountCert) -> None:
        """Raise AuthenticityError, PeerError unless the account certified the sealing key."""
        device = open_device_certificate(self._device, account)
        if sealing_key_hash(self.sealing_key) != device.sealing_hash:
            raise UntrustedCertificate("a sealing key that the device's certificate does not name")


def commitment_of(secret: bytes) -> bytes:
    """Return what the policy says of a secret, so that all can see that all have the same."""
    return derive(secret, "commit").commitment


def request_digest(data: bytes) -> Digest:
    """Return what the answer is bound to: the request exactly as it travelled."""
    return digest("secret/request", data)


def sign_secret_request(request: SecretRequest, key: SigningKey) -> bytes:
    """Return the request as it travels; `key` is the node's."""
    return sign(key, Kind.SECRET, encode(request))


def is_secret_request(data: bytes) -> bool:
    """Is this, as far as its frame says, a request for the secret?"""
    return is_signed_as(Kind.SECRET, data)


def open_secret_request(data: bytes, trust: OrganisationTrust, now_ms: int) -> Asking:
    """Return who asks; raises PeerError, AuthenticityError, NotPermitted (the clocks differ)."""
    request = SECRET_REQUEST.decode(parse(data, Kind.SECRET).body)
    node = trust.verify_node(request.node, now_ms)
    open_signed(data, Kind.SECRET, node.node_key, SECRET_REQUEST)
    if request.ring != trust.ring:
        raise UntrustedCertificate("a request for the secret of another ring")
    if abs(request.at - now_ms) > CLOCKS_APART_MS_MAX:
        raise NotPermitted("the clocks are more than a day apart")
    DEVICE_CERT.decode(parse(request.device, Kind.DEVICE).body)
    return Asking(node, request.sealing_key, request.device)


def open_secret_answer(
    answer: bytes, request: bytes, sealing_seed: bytes, policy: Policy, sealing: Sealing
) -> bytes:
    """Return the secret of the policy's epoch.

    Raises NotPermitted (denied), PeerError, and AuthenticityError for an answer to somebody else's
    request and for a secret that is not the one to which the policy commits: that one may have been
    made for her alone, to see what she stores.
    """
    said = SECRET_ANSWER.decode(answer)
    if isinstance(said, Denied):
        raise NotPermitted(said.text)
    secret = sealing.unseal(sealing_seed, SEAL_CONTEXT, request_digest(request), said.sealed)
    if len(secret) != len(policy.secret_commitment) or said.epoch != policy.secret_epoch:
        raise MalformedPacket("not the organisation's secret of the policy's epoch")
    if not hmac.compare_digest(commitment_of(secret), policy.secret_commitment):
        raise UntrustedCertificate("the organisation secret is not the one that the policy names")
    return secret
