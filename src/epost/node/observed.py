"""What a node tells its observer about itself."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.errors import EpostError
from epost.foundation.ids import Handle, NodeHandle, NodeId
from epost.foundation.wire import Application


@dataclass(frozen=True, slots=True)
class MessageRejected:
    """A peer's message was not accepted: malformed, not permitted, or too much at once."""

    sender: NodeHandle
    application: Application | None
    error: EpostError


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A request to other nodes (a routed look-up, an insertion) was answered after so long."""

    at: NodeId
    seconds: float


@dataclass(frozen=True, slots=True)
class StoryFailed:
    """A story in the background ended with an error of the project."""

    story: str
    error: EpostError


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """The node stops: its disk failed, or one of our own assumptions did not hold."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class BlockDamaged:
    """A body failed its own checksum; its row counts as absent until the block is put again."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class CertificatesRenewed:
    """The authority gave this machine new certificates."""

    node: NodeId
    machine_until_ms: int


@dataclass(frozen=True, slots=True)
class AccountRekeyed:
    """This machine signs under other keys of its user's account from now on."""

    generation: int


@dataclass(frozen=True, slots=True)
class KeysNotFollowed:
    """The account has later keys than this machine signs under, and it cannot follow now."""

    reason: str


@dataclass(frozen=True, slots=True)
class AccountRenamed:
    """The authority gave the account of this machine another name."""

    name: str
    former: str


@dataclass(frozen=True, slots=True)
class RenewalFailed:
    """The certificates are due and could not be renewed, so many times in a row."""

    times: int
    reason: str


@dataclass(frozen=True, slots=True)
class OrganisationSecretAdopted:
    """This device stores under the organisation's secret of a new epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class OrganisationSecretMissing:
    """The secret of the policy's epoch could not be had, so many times in a row.

    Meanwhile attachments are stored for this account alone, once for each of their senders.
    """

    epoch: int
    times: int
    reason: str


@dataclass(frozen=True, slots=True)
class OrganisationSecretFalse:
    """A daemon that issues gave a secret that is not the one to which the policy commits.

    It may have been made for this member, to see what she stores.
    """

    epoch: int


@dataclass(frozen=True, slots=True)
class CertifiedLogAlarm:
    """The authority's log says something about this member that must not be there."""

    sequence: int
    reason: str
