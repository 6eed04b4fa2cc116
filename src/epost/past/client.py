"""Inserting and looking up blocks, as stories (paper section 2; design 3, 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from epost.foundation.errors import RefusedError
from epost.foundation.ids import Handle
from epost.past.durability import Durability


@dataclass(frozen=True, slots=True)
class Insertion:
    """A block that is stored, and how safely."""

    handle: Handle
    durability: Durability


class Answered(Enum):
    """How many of the replicas that were asked for a mutable block answered in time."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reading:
    """The newest version of a mutable block that was found, and how sure that is.

    `confirmed`: every reachable replica answered, one at least is not catching up, and nothing
    newer was ever seen here. Showing may rest on less; signing, rotating and revoking may not.
    """

    block: bytes | None
    answered: Answered
    confirmed: bool


class Conflict(RefusedError):  # noqa: N818 - the domain's words read better without "Error"
    """A replica holds a version that is not older; merge with it and try again."""

    def __init__(self, handle: Handle, block: bytes) -> None:
        super().__init__(f"{handle}: another version is stored already")
        self.handle = handle
        self.block = block
