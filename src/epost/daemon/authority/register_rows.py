"""What stands in the authority's register: invitations, accounts, machines, decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class InviteRow:
    """One invitation: for a name, or (None) for a storage-only node.

    `is_device`: for one more machine of an account that is there already.
    """

    token_hash: bytes
    name: str | None
    is_device: bool
    expires_at: int
    request_hash: bytes | None
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One name of an account: its newest certificate, and the tag in those of the account's nodes.

    An account that had other names has a row for each, of the same id and tag.
    """

    name: str
    account_id: bytes
    certificate: bytes
    member_tag: bytes


class State(IntEnum):
    """What has become of a member."""

    MEMBER = 0
    HELD = 1
    REMOVED = 2
    TRANSFERRED = 3
    FORMER = 4
    """No member but the former name of one, her successor; kept for her."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the administrator decided about a name, when, and who has it now."""

    name: str
    state: State
    since: int
    successor: str | None

    @property
    def is_gone(self) -> bool:
        """Is whoever had the name out of the organisation?"""
        return self.state in {State.REMOVED, State.TRANSFERRED}


@dataclass(frozen=True, slots=True)
class Superseded:
    """A certificate of an account that is not its newest one, and may still be in force."""

    hash: bytes
    name: str


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node that was ever certified."""

    serial: bytes
    node_id: bytes
    node_key: bytes
    member_tag: bytes
    site: str
    roles: int
    certificate: bytes
    not_after: int
    issued_at: int
    revoked_at: int | None = None
    reason: int | None = None

    @property
    def is_in_force(self) -> bool:
        """Was it never revoked?"""
        return self.revoked_at is None
