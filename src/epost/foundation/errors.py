"""Everything that can go wrong, by who must act.

PeerError: a peer broke the protocol (drop, count, distrust). AuthenticityError: data is not what
it claims. UnavailableError: try later. NotFoundError, RefusedError: the asker must change the
request. ConfigError: the operator must. A broken assumption of ours is an AssertionError.
"""

from __future__ import annotations


class EpostError(Exception):
    """Base of all errors of ePOST."""


class PeerError(EpostError):
    """A peer broke the protocol."""


class MalformedPacket(PeerError):  # noqa: N818 - the domain's words read better without "Error"
    """Bytes that are not the canonical encoding of any message expected here."""


class UnexpectedPacket(PeerError):  # noqa: N818
    """A well-formed message at the wrong time or of an unknown kind."""


class LimitExceeded(PeerError):  # noqa: N818
    """A peer exceeded a named limit."""


class AuthenticityError(EpostError):
    """Data is not what it claims to be."""


class HashMismatch(AuthenticityError):  # noqa: N818
    """The bytes do not hash to the digest that names them."""


class BadSignature(AuthenticityError):  # noqa: N818
    """A signature does not verify, or its key is not a valid point."""


class BadSeal(AuthenticityError):  # noqa: N818
    """A box or an envelope does not open with this key."""


class UntrustedCertificate(AuthenticityError):  # noqa: N818
    """A certificate that no accepted authority stands behind, expired or revoked."""


class RevokedCertificate(UntrustedCertificate):
    """A certificate that the authority has taken back."""


class StaleVersion(AuthenticityError):  # noqa: N818
    """A version older than one already seen: a rollback, or a slow replica."""


class ReplayedNotification(AuthenticityError):  # noqa: N818
    """A notification outside its time of validity or for somebody else."""


class UnavailableError(EpostError):
    """Cannot be done now; the same request may succeed later."""


class CallTimedOut(UnavailableError):  # noqa: N818
    """A peer did not answer in time."""


class Unreachable(UnavailableError):  # noqa: N818
    """No link to the peer can be had."""


class TooFewReplicas(UnavailableError):  # noqa: N818
    """Fewer nodes answered than the operation needs."""


class Overloaded(UnavailableError):  # noqa: N818
    """A queue is full here or at the peer."""


class DiskFull(UnavailableError):  # noqa: N818
    """The local vault has no room left."""


class NotFoundError(EpostError):
    """The thing asked for does not exist."""


class NoSuchBlock(NotFoundError):  # noqa: N818
    """Every node that should hold the block answered and none has it."""


class NoSuchUser(NotFoundError):  # noqa: N818
    """No account of that name is certified."""


class NoSuchFolder(NotFoundError):  # noqa: N818
    """No folder of that name."""


class NoSuchMail(NotFoundError):  # noqa: N818
    """The mail is no longer in the folder."""


class RefusedError(EpostError):
    """The request is understood and refused."""


class NotPermitted(RefusedError):  # noqa: N818
    """The asker may not do this."""


class QuotaExceeded(RefusedError):  # noqa: N818
    """The asker's allowance is used up."""


class MessageTooLarge(RefusedError):  # noqa: N818
    """Larger than the stated limit."""


class FolderExists(RefusedError):  # noqa: N818
    """A folder of that name exists already."""


class PeerRefused(RefusedError):  # noqa: N818
    """A peer answered a call with a refusal; carries its code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code
        self.text = text


class ConfigError(EpostError):
    """The configuration or the state of a data folder is wrong; names file, key and remedy."""
