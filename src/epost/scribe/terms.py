"""What a node knows of the terms of its groups: the newest charter, and how far publishers got.

Neither ever goes back: a charter is replaced by a newer one only, and of each publisher the newest
statement is kept, so that a new root repeats nothing and serves no older rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from epost.foundation.errors import (
    AuthenticityError,
    NotPermitted,
    Overloaded,
    PeerError,
    ReplayedNotification,
)
from epost.foundation.ids import Id
from epost.scribe.charter import (
    Charter,
    Mark,
    open_charter,
    open_mark,
    open_permit,
    open_publication,
)
from epost.scribe.config import TERMS_MAX
from epost.scribe.messages import Terms


@dataclass(slots=True)
class _Rules:
    """One group's terms; at most one mark for each of the charter's publishers."""

    charter: Charter
    signed: bytes
    marks: dict[bytes, Mark] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)

    def advance(self, mark: Mark, number: int) -> bool:
        """Note a verified statement; False if one as new is known."""
        if number <= self.numbers.get(mark.publisher, -1):
            return False
        self.marks[mark.publisher], self.numbers[mark.publisher] = mark, number
        return True


class TermsBook:
    """The terms of at most TERMS_MAX chartered groups; groups not in it are open to all."""

    def __init__(self, is_in_use: Callable[[Id], bool]) -> None:
        """`is_in_use` tells whether this node has a place in a group's tree."""
        self._is_in_use = is_in_use
        self._rules: dict[Id, _Rules] = {}

    def version(self, group: Id) -> int:
        """Return the version of the charter in force, 0 for an open group."""
        rules = self._rules.get(group)
        return 0 if rules is None else rules.charter.version

    def say(self, group: Id) -> Terms:
        """Return what to tell others; an empty charter means that none is known."""
        rules = self._rules.get(group)
        if rules is None:
            return Terms(group, b"", ())
        return Terms(group, rules.signed, tuple(rules.marks[key] for key in sorted(rules.marks)))

    def learn(self, terms: Terms) -> bool:
        """Take over what is newer; True if the charter is.

        Raises PeerError, AuthenticityError or NotPermitted for what does not hold, Overloaded
        beyond TERMS_MAX.
        """
        group = Id(terms.group)
        rules = self._rules.get(group)
        is_new = rules is None or rules.signed != terms.charter
        if is_new:
            charter = open_charter(terms.charter, group)
            is_new = rules is None or _order(rules) < (charter.version, terms.charter)
            if is_new:
                rules = self._replace(rules, charter, terms.charter)
        assert rules is not None, "a group without terms takes any"
        self._follow(rules, terms.marks)
        return is_new

    def may_join(self, group: Id, permit: bytes) -> bool:
        """Tell whether a permit opens the way into a group's tree."""
        rules = self._rules.get(group)
        if rules is None or not rules.charter.admitters:
            return True
        try:
            open_permit(permit, rules.charter)
        except (NotPermitted, AuthenticityError, PeerError):
            return False
        return True

    def is_permit_of(self, group: Id, node_id: bytes, permit: bytes) -> bool:
        """Tell whether a node may be a member itself, by a permit of its own."""
        rules = self._rules.get(group)
        if rules is None or not rules.charter.admitters:
            return True
        try:
            return open_permit(permit, rules.charter).node_id == node_id
        except (NotPermitted, AuthenticityError, PeerError):
            return False

    def open_news(self, group: Id, body: bytes) -> bytes:
        """Return what members hear; raises NotPermitted, AuthenticityError or PeerError.

        ReplayedNotification if the publisher was heard with this number or a later one.
        """
        rules = self._rules.get(group)
        if rules is None or not rules.charter.publishers:
            return body
        statement, publication = open_publication(body, rules.charter)
        if not rules.advance(publication.mark, statement.number):
            raise ReplayedNotification("news that were heard before")
        return publication.body

    def _replace(self, old: _Rules | None, charter: Charter, signed: bytes) -> _Rules:
        if old is None:
            self._make_room()
        rules = self._rules[charter.group] = _Rules(charter, signed)
        for key in charter.publishers:
            if old is not None and key in old.marks:
                rules.advance(old.marks[key], old.numbers[key])
        return rules

    def _follow(self, rules: _Rules, marks: Sequence[Mark]) -> None:
        for mark in marks:
            is_listed = mark.publisher in rules.charter.publishers
            if is_listed and rules.marks.get(mark.publisher) != mark:
                rules.advance(mark, open_mark(mark, rules.charter).number)

    def _make_room(self) -> None:
        if len(self._rules) < TERMS_MAX:
            return
        unused = next((group for group in self._rules if not self._is_in_use(group)), None)
        if unused is None:
            raise Overloaded(f"the terms of {TERMS_MAX} groups are kept here already")
        del self._rules[unused]


def _order(rules: _Rules) -> tuple[int, bytes]:
    return rules.charter.version, rules.signed
