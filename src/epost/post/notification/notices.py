"""Notices and the envelopes they travel in (POST 3.3; crypto 7.1, 7.2).

A notice is signed by the sender's device for one recipient: her account, an id and the time are
under the signature, so it cannot be turned on anybody else or be replayed. The envelope hides all
of it, the sender too, from everybody but the recipient's devices; outside are only the recipient's
account and the expiry, which delegates need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.boxes import box, pad, unbox, unpad
from epost.crypto.certificates import CERTIFICATE_SIZE_MAX, V1
from epost.crypto.hashing import digest
from epost.crypto.sealing import key_id
from epost.crypto.signed import SIGNED_SIZE_MAX, open_signed, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    BadSeal,
    MalformedPacket,
    MessageTooLarge,
    ReplayedNotification,
)
from epost.foundation.ids import U8, U63, Bytes16, Bytes32
from epost.foundation.ports import Entropy, Sealing
from epost.past.pending import PENDING_SIZE_MAX, Envelope, Wrap, pending_handle

CONTENT_BYTES_MAX = 20 * 1024
SIGNED_NOTICE_BYTES_MAX = 56 * 1024
LIFETIME_MS_MAX = 182 * DAY_MS
EARLY_MS_MAX = 10 * 60 * 1000
"""How far ahead of our clock a sender's may be."""


class Notice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the sender's device signs; times in milliseconds since 1970."""

    format: V1
    id: Bytes16
    from_account: Bytes32
    from_device: U8
    to_account: Bytes32
    sent_at: U63
    expires_at: U63
    app: U8
    content: Annotated[bytes, msgspec.Meta(max_length=CONTENT_BYTES_MAX)]


class SignedNotice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The signed notice with the certificates that let anybody verify it (the recipient keeps
    exactly these bytes: they prove to others who wrote what)."""

    notice: Annotated[bytes, msgspec.Meta(max_length=CONTENT_BYTES_MAX + 1024)]
    account_certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]
    device_certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]


class _Outside(msgspec.Struct, frozen=True, array_like=True):
    """The fields of an envelope before `body`: what body and wraps are bound to."""

    format: int
    to_ring: bytes
    to_account: bytes
    expires_at: int


_NOTICE: Format[Notice] = Format(Notice, size_max=SIGNED_SIZE_MAX)
_SIGNED_NOTICE: Format[SignedNotice] = Format(SignedNotice, size_max=SIGNED_NOTICE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope ready to leave, and the digest by which receipts name it."""

    envelope: bytes
    digest: bytes


def sign_notice(
    notice: Notice, key: SigningKey, *, account_certificate: bytes, device_certificate: bytes
) -> bytes:
    """Sign a notice for its one recipient and put the sender's certificates beside it."""
    signed = sign(key, Kind.NOTICE, encode(notice))
    return encode(SignedNotice(signed, account_certificate, device_certificate))


def seal_notice(
    signed: bytes,
    *,
    to_ring: bytes,
    to_account: bytes,
    expires_at: int,
    sealing_keys: Sequence[bytes],
    sealing: Sealing,
    entropy: Entropy,
) -> Sealed:
    """Seal a signed notice to the recipient's devices (and recovery key)."""
    outside = encode(_Outside(1, to_ring, to_account, expires_at))
    session_key = entropy.token(32)
    body = box(session_key, outside, pad(signed))
    binding = digest("env", outside + body)
    wraps = tuple(
        Wrap(key_id(public_key), sealing.seal(public_key, "notice", binding, session_key))
        for public_key in sealing_keys
    )
    envelope = encode(Envelope(1, to_ring, to_account, expires_at, body, wraps))
    if len(envelope) > PENDING_SIZE_MAX:
        raise MessageTooLarge(f"a sealed notice of {len(envelope)} bytes")
    return Sealed(envelope, pending_handle(envelope).digest)


class NoKey(BadSeal):
    """Nothing in the envelope is sealed to a key of this device (any more)."""


def open_envelope(
    envelope: Envelope, seed_of: Callable[[bytes], bytes | None], sealing: Sealing
) -> bytes:
    """Return the signed notice inside; nothing about it is verified yet.

    `seed_of` gives our private key by key id. Raises NoKey, BadSeal.
    """
    outside = encode(
        _Outside(envelope.format, envelope.to_ring, envelope.to_account, envelope.expires_at)
    )
    binding = digest("env", outside + envelope.body)
    for wrap in envelope.wraps:
        if (seed := seed_of(wrap.key_id)) is not None:
            session_key = sealing.unseal(seed, "notice", binding, wrap.sealed)
            if len(session_key) != 32:
                raise BadSeal("no session key in the seal")
            return unpad(unbox(session_key, outside, envelope.body))
    raise NoKey("the envelope is not sealed to a key of this device")


def decode_signed_notice(data: bytes) -> SignedNotice:
    """Decode the certificates beside a signed notice; raises PeerError."""
    return _SIGNED_NOTICE.decode(data)


def verify_notice(signed: SignedNotice, device_key: bytes) -> Notice:
    """Return the notice if this device signed it; raises BadSignature, PeerError."""
    return open_signed(signed.notice, Kind.NOTICE, device_key, _NOTICE)


def require_addressed(
    notice: Notice, envelope: Envelope, *, account_id: bytes, device_number: int, me: bytes
) -> None:
    """Raise MalformedPacket unless notice, envelope and sender's certificates say the same.

    Against reflection and surreptitious forwarding: whoever opens a notice sent to her cannot
    seal it anew to somebody else, since the recipient is under the signature.
    """
    if notice.to_account != me or envelope.to_account != me:
        raise MalformedPacket("a notice for somebody else")
    if notice.expires_at != envelope.expires_at:
        raise MalformedPacket("the envelope says another expiry than the notice")
    if (notice.from_account, notice.from_device) != (account_id, device_number):
        raise MalformedPacket("the notice names another sender than its certificates")


def require_current(notice: Notice, now_ms: int) -> None:
    """Raise ReplayedNotification if the notice is not valid now by our clock."""
    if notice.sent_at > now_ms + EARLY_MS_MAX:
        raise ReplayedNotification("sent in the future")
    if now_ms > notice.expires_at:
        raise ReplayedNotification("expired")
    if not 0 < notice.expires_at - notice.sent_at <= LIFETIME_MS_MAX:
        raise ReplayedNotification("valid for longer than notices are remembered")
