"""Change of an account's keys: the former key signs over its successors (crypto 3.2).

An account's id is made of its first key, and each key signs which one follows it. So whoever has
all these statements knows without asking anybody that the keys in a certificate are of that
account: an authority cannot certify others for it (docs/decisions/0060).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec.structs import replace

from epost.crypto.certificates import V1, AccountCert, account_id_of
from epost.crypto.signed import is_signed_as, open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey, is_valid_public_key, verify
from epost.foundation.codec import Format, encode
from epost.foundation.errors import BadSignature, MalformedPacket, UntrustedCertificate
from epost.foundation.ids import Bytes20, Bytes32

REKEYINGS_MAX = 64
"""In the life of an account: its identity block carries them all."""
STATEMENT_BYTES_MAX = 512


class Rekeying(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What `former_key` signs: these keys, of this generation, follow it in the account."""

    format: V1
    ring: Bytes20
    account_id: Bytes32
    generation: Annotated[int, msgspec.Meta(ge=1, le=REKEYINGS_MAX)]
    former_key: Bytes32
    account_key: Bytes32
    recovery_key: Bytes32
    recovery_sealing_hash: Bytes32

    def leads_to(self, account: AccountCert) -> bool:
        """Are these the keys of a certificate?"""
        return self == _rekeying_of(account, self.former_key)

    def follows_on(self, present: AccountCert) -> bool:
        """Is this said of the keys in a certificate, and of those next after them?"""
        next_generation = present.generation + 1
        said = self.ring, self.account_id, self.former_key, self.generation
        return said == (present.ring, present.account_id, present.account_key, next_generation)

    def applied_to(self, account: AccountCert, proof: bytes) -> AccountCert:
        """Return a certificate with these keys, and this statement's signature, in place of its."""
        return replace(
            account,
            account_id=self.account_id,
            generation=self.generation,
            account_key=self.account_key,
            recovery_key=self.recovery_key,
            recovery_sealing_hash=self.recovery_sealing_hash,
            rekey_proof=proof,
        )


REKEYING: Format[Rekeying] = Format(Rekeying, size_max=STATEMENT_BYTES_MAX)


def sign_rekeying(former: SigningKey, rekeying: Rekeying) -> bytes:
    """Return the statement by which a key hands its account over."""
    return sign(former, Kind.REKEY, encode(rekeying))


def open_rekeying(data: bytes) -> Rekeying:
    """Verify a statement by the key that it says it is of; raises PeerError, BadSignature.

    Whether that was the account's key is for the caller to know.
    """
    claimed = REKEYING.decode(parse(data, Kind.REKEY).body)
    rekeying = open_signed(data, Kind.REKEY, claimed.former_key, REKEYING)
    keys = rekeying.former_key, rekeying.account_key, rekeying.recovery_key
    if not all(map(is_valid_public_key, keys)):
        raise MalformedPacket("a key that is not a valid point")
    return rekeying


def proof_of(statement: bytes) -> bytes:
    """Return what a certificate carries of a statement: its signature (`rekey_proof`)."""
    return parse(statement, Kind.REKEY).signature


def statements_among(references: Iterable[bytes]) -> list[bytes]:
    """Return the statements that an identity block carries, among whatever else is there."""
    return [reference for reference in references if is_signed_as(Kind.REKEY, reference)]


def follows(account: AccountCert, former: AccountCert) -> bool:
    """Are these the keys to which the former ones handed the same account over, next after them?

    The certificate alone proves it; for more than one step `descent` needs the statements.
    """
    is_next = account.account_id == former.account_id
    if not is_next or account.generation != former.generation + 1:
        return False
    body = encode(_rekeying_of(account, former.account_key))
    try:
        verify(former.account_key, Kind.REKEY, body, account.rekey_proof)
    except BadSignature:
        return False
    return True


def descent(account: AccountCert, references: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return all account keys that there were, from the first to the one certified.

    `references` are those of the account's identity block. Raises UntrustedCertificate unless
    every key was followed by its successor's statement, down from the key that gave the account
    its id; PeerError, BadSignature.
    """
    if account.generation == 0:
        if account_id_of(account.account_key) != account.account_id:
            raise UntrustedCertificate("the account id is not of its first key")
        return (account.account_key,)
    statements = statements_among(references)
    chain = [open_rekeying(statement) for statement in statements]
    if len(chain) != account.generation or not _is_unbroken(chain, account):
        raise UntrustedCertificate("the keys do not follow from the account's first one")
    if proof_of(statements[-1]) != account.rekey_proof:
        raise UntrustedCertificate("the certificate has another proof than the account")
    return (chain[0].former_key, *(step.account_key for step in chain))


def _is_unbroken(chain: Sequence[Rekeying], account: AccountCert) -> bool:
    return (
        account_id_of(chain[0].former_key) == account.account_id
        and all(step.ring == account.ring for step in chain)
        and all(step.account_id == account.account_id for step in chain)
        and [step.generation for step in chain] == list(range(1, len(chain) + 1))
        and all(a.account_key == b.former_key for a, b in pairwise(chain))
        and chain[-1].leads_to(account)
    )


def _rekeying_of(account: AccountCert, former_key: bytes) -> Rekeying:
    return Rekeying(
        format=1,
        ring=account.ring,
        account_id=account.account_id,
        generation=account.generation,
        former_key=former_key,
        account_key=account.account_key,
        recovery_key=account.recovery_key,
        recovery_sealing_hash=account.recovery_sealing_hash,
    )
