"""What shows of a change: which mails came to a folder, changed there, or went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from epost.apps.mail.index import FolderRow, MailFacts, PlacedMail
from epost.apps.mail.log.fold import Placement
from epost.apps.mail.mailbox import DELETED, SEEN


@dataclass(slots=True)
class FolderChange:
    """What changed in one folder, for those who have it open; each list by UID."""

    appended: list[PlacedMail] = field(default_factory=list)
    changed: list[PlacedMail] = field(default_factory=list)
    expunged: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Touched:
    """A place before and after, and the MODSEQ it had."""

    old: Placement
    old_modseq: int
    new: Placement

    @property
    def is_only_flagged(self) -> bool:
        """Did nothing change but the flags of a mail that has a number?"""
        old, new = self.old, self.new
        return old.number is not None and old.number is new.number and self._stays

    @property
    def is_only_numbered(self) -> bool:
        """Did nothing change but the number of a mail that is known?"""
        old, new = self.old, self.new
        return old.email is not None and old.flags is new.flags and self._stays

    @property
    def _stays(self) -> bool:
        old, new = self.old, self.new
        return (
            old.email is new.email
            and old.folder is new.folder
            and old.is_expunged == new.is_expunged
        )


@dataclass(slots=True)
class Sums:
    """By how much the sums over a folder change."""

    messages: int = 0
    unseen: int = 0
    deleted: int = 0
    size: int = 0

    def add(self, flags: frozenset[str], size: int, sign: int) -> None:
        """A mail with these flags comes (1) or goes (-1)."""
        self.messages += sign
        self.size += sign * size
        if SEEN not in flags:
            self.unseen += sign
        if DELETED in flags:
            self.deleted += sign

    def added_to(self, row: FolderRow) -> dict[str, int]:
        """Return the sums of a folder after this."""
        return {
            "messages": row.messages + self.messages,
            "unseen": row.unseen + self.unseen,
            "deleted": row.deleted + self.deleted,
            "size": row.size + self.size,
        }


class Difference:
    """Collects, place by place, what is to be written and announced."""

    def __init__(
        self, modseq: int, facts: Mapping[bytes, MailFacts], first_seen: Collection[bytes]
    ) -> None:
        """`modseq` is that of every change; `first_seen` are mails that are new to the index."""
        self.placements: list[tuple[Placement, int]] = []
        self.flagged: list[tuple[Placement, int]] = []
        self.numbered: list[tuple[Placement, int]] = []
        self.vanished: list[tuple[bytes, int, int]] = []
        self.sums: dict[bytes, Sums] = defaultdict(Sums)
        self.needs_numbers = False
        """Is any mail in a folder and has no number there?"""
        self._modseq = modseq
        self._facts = facts
        self._first_seen = first_seen
        self._changes: dict[bytes, FolderChange] = defaultdict(FolderChange)

    def changes(self) -> Mapping[bytes, FolderChange]:
        """Return what to announce, by folder."""
        for change in self._changes.values():
            change.appended.sort(key=lambda mail: mail.placement.uid)
            change.expunged.sort()
        return self._changes

    def note(self, touched: Touched) -> None:
        """Take in what became of a place."""
        old, new = touched.old, touched.new
        shows = self._announce(old, new)
        if new is old or new == old:
            return
        entry = new, self._modseq if shows else touched.old_modseq
        if touched.is_only_flagged:
            self.flagged.append(entry)
        elif touched.is_only_numbered:
            self.numbered.append(entry)
        else:
            self.placements.append(entry)

    def _announce(self, old: Placement, new: Placement) -> bool:
        """Enter what shows of a change into announcement and sums; return whether any does."""
        facts = self._facts.get(new.email) if new.email else None
        if facts is None:
            return False
        # A mail that is new to this index has shown nowhere, whatever number it had.
        old_uid = 0 if facts.email in self._first_seen else old.uid
        new_uid = new.uid
        if not new_uid and new.is_alive:
            self.needs_numbers = True
        if not (old_uid or new_uid):
            return False
        old_flags, new_flags = old.set_flags, new.set_flags
        stays = old_uid == new_uid and old.folder == new.folder
        if stays and old_flags == new_flags:
            return False
        if old_uid:
            self.sums[old.folder].add(old_flags, facts.size, -1)
        if new_uid:
            self.sums[new.folder].add(new_flags, facts.size, 1)
        if stays:
            self._changes[new.folder].changed.append(PlacedMail(new, self._modseq, facts))
            return True
        if old_uid:
            self._changes[old.folder].expunged.append(old_uid)
            self.vanished.append((old.folder, self._modseq, old_uid))
        if new_uid:
            self._changes[new.folder].appended.append(PlacedMail(new, self._modseq, facts))
        return True


def seen_mails(changes: Iterable[FolderChange]) -> Iterator[bytes]:
    """Yield the mails that changed, in whatever way, and that somebody has seen."""
    for change in changes:
        for mail in (*change.changed, *change.appended):
            if SEEN in mail.placement.set_flags:
                yield mail.facts.email
