"""How much each member may store: what the administrator decided, and the classes that say so.

A node's certificate names a class, and the policy in the issuer block says what the classes are
(MiB; 0 is no limit). Class 0 is everybody's, those after it are given to members by amount, and the
last number of the list is no class: it counts the decisions (and changes of names), so that nodes
notice one and have their certificates renewed. Kept in the register as JSON by name.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.daemon.authority.register import Register
from epost.daemon.authority.rules import read_rules
from epost.foundation.errors import ConfigError, RefusedError
from epost.rings.policy import QUOTA_CLASSES_MAX

SETTING = "quotas"
CLASSES_OF_MEMBERS = QUOTA_CLASSES_MAX - 2
MEBIBYTES_MAX = (1 << 32) - 1

Mebibytes = Annotated[int, msgspec.Meta(ge=0, le=MEBIBYTES_MAX)]


class _Book(msgspec.Struct, frozen=True, kw_only=True):
    """`classes` are those after class 0; `members` are tags in hex, with their class."""

    classes: tuple[Mebibytes, ...] = (0,) * CLASSES_OF_MEMBERS
    members: dict[str, int] = {}
    changes: int = 0


class Quotas:
    """The decisions in force; to be changed inside a transaction of the register."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def class_of(self, member_tag: bytes) -> int:
        """Return the class that a member's certificates name."""
        return self._read().members.get(member_tag.hex(), 0)

    def of(self, member_tag: bytes) -> int:
        """Return how many MiB a member may store, 0 for no limit."""
        book = self._read()
        own_class = book.members.get(member_tag.hex(), 0)
        return book.classes[own_class - 1] if own_class else read_rules(self._register).quota_mib

    def set(self, member_tag: bytes, mebibytes: int | None) -> None:
        """Give a member a quota (0: no limit), or (None) what everybody has.

        Raises RefusedError if there are too many different quotas already.
        """
        book = self._read()
        members = {tag: c for tag, c in book.members.items() if tag != member_tag.hex()}
        classes = list(book.classes)
        if mebibytes is not None:
            own_class = _class_for(mebibytes, classes, set(members.values()))
            classes[own_class - 1] = mebibytes
            members[member_tag.hex()] = own_class
        changed = _Book(classes=tuple(classes), members=members, changes=book.changes + 1)
        self._register.put_setting(SETTING, msgspec.json.encode(changed))

    def count_change(self) -> None:
        """Have every machine ask for its certificates anew, as after another quota."""
        book = self._read()
        counted = msgspec.structs.replace(book, changes=book.changes + 1)
        self._register.put_setting(SETTING, msgspec.json.encode(counted))

    def in_policy(self) -> tuple[int, ...]:
        """Return what the issuer block says; nothing as long as nobody has a quota."""
        book, everybody = self._read(), read_rules(self._register).quota_mib
        if not book.changes:
            return (everybody,) if everybody else ()
        return everybody, *book.classes, book.changes

    def _read(self) -> _Book:
        data = self._register.setting(SETTING)
        if data is None:
            return _Book()
        try:
            return msgspec.json.decode(data, type=_Book)
        except msgspec.DecodeError as error:
            raise ConfigError(f"the authority's quotas are damaged: {error}") from error


def _class_for(mebibytes: int, classes: list[int], used: set[int]) -> int:
    """Return the class of an amount: one that members have, else one that nobody has."""
    for number, amount in enumerate(classes, 1):
        if number in used and amount == mebibytes:
            return number
    for number in range(1, CLASSES_OF_MEMBERS + 1):
        if number not in used:
            return number
    raise RefusedError(
        f"there are {CLASSES_OF_MEMBERS} different quotas already: give one of those, or the "
        "organisation's own"
    )
