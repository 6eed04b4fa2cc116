r"""What one session knows of its selected folder, and what it must still be told.

Message numbers mean what the client was told last. Changes of other sessions therefore wait here
until an announcement: new messages and flags may be announced with any command, but numbers may
only shift when the client expects it (RFC 3501 7.4.1: never during FETCH, STORE and SEARCH).
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from epost.apps.mail.mailbox import (
    Appended,
    Expunged,
    FlagsChanged,
    Folder,
    FolderChange,
    FolderGone,
    MessageColumns,
    MessageRow,
)
from epost.servers.imap.modes import Modes
from epost.servers.imap.opened_mail import OpenedMail
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.flags import RECENT, flag_list
from epost.servers.imap.syntax.sequences import MessageSet, NumberSet, SavedResult
from epost.servers.imap.uid_list import UidList


@dataclass(frozen=True, slots=True)
class Announcement:
    """What changed since the last one, in the order in which the client must hear it."""

    expunged_numbers: Sequence[int] = ()  # descending, so that none shifts another
    expunged_uids: Sequence[int] = ()  # the same messages, ascending
    exists: int | None = None  # the new number of messages, if some are new
    appended: Sequence[int] = ()  # the uids of these
    recent: int = 0
    changed: Sequence[tuple[int, MessageRow]] = ()  # message numbers and rows


class FolderView:
    """One selected folder of one session; `close` it when it is no longer selected."""

    def __init__(
        self,
        folder: Folder,
        name: str,
        *,
        is_read_only: bool,
        unclaimed: int,
        folder_id: str = "",
        modes: Modes | None = None,
    ) -> None:
        """`unclaimed` is how many messages at the end are recent to everybody so far."""
        self.modes = modes or Modes()
        self.folder = folder
        self.folder_id = folder_id
        self.name = name
        self.is_read_only = is_read_only
        self.farewell: str | None = None  # set: the client must select a folder anew
        self.saved: array[int] = array("I")  # result of SEARCH RETURN (SAVE), RFC 5182
        self._uids = UidList(folder.uids())
        self._recent = UidList()
        self._keywords = folder.keywords
        self._appended: list[int] = []
        self._expunged: list[int] = []
        self._changed: dict[int, MessageRow] = {}
        self._flag_forms: list[bytes] = []  # of the folder's sets of flags, in their order
        self._recent_forms: list[bytes] = []  # the same, with \\Recent
        self._opened: tuple[int, OpenedMail] | None = None
        self._on_change: Callable[[], None] | None = None
        if is_read_only:
            self._recent.extend(self._uids.newest(unclaimed))
        else:
            self._claim_recent()
        self._unsubscribe = folder.subscribe(self._note)

    def close(self) -> None:
        """Hear of no more changes."""
        self._unsubscribe()
        self._on_change = None

    def when_changed(self, wake: Callable[[], None] | None) -> None:
        """Have `wake` called on every change, until told None; for IDLE."""
        self._on_change = wake

    @property
    def exists(self) -> int:
        """How many messages the client knows of."""
        return len(self._uids)

    @property
    def recent(self) -> int:
        """How many of them are new to all clients."""
        return len(self._recent)

    @property
    def last_uid(self) -> int:
        """The greatest uid the client knows of, 0 if there is none."""
        return self._uids.last

    def is_recent(self, uid: int) -> bool:
        return uid in self._recent and not self.modes.is_rev2

    def number(self, uid: int) -> int | None:
        """The message number of a uid, None if the client does not know the message."""
        place = self._uids.place(uid)
        return None if place is None else place + 1

    def first_unseen(self) -> int | None:
        r"""The message number of the first one without \Seen."""
        uid = self.folder.first_unseen()
        return None if uid is None else self.number(uid)

    def numbers(self, uids: "array[int]") -> Sequence[int]:
        """The message numbers of messages that the client knows."""
        places = self._uids.places(uids)
        if isinstance(places, range):
            return range(places.start + 1, places.stop + 1)
        return [place + 1 for place in places]

    def shown_flags(self, rows: MessageColumns) -> Iterable[bytes]:
        r"""The flags of each message, with \Recent where it belongs."""
        forms = self._flag_forms
        forms += map(flag_list, rows.flag_sets[len(forms) :])
        recent = () if self.modes.is_rev2 or not rows.uids else self._recent_among(rows.uids)
        if not recent:
            return map(forms.__getitem__, rows.flags)
        recent_forms = self._recent_forms
        recent_forms += (flag_list(s | {RECENT}) for s in rows.flag_sets[len(recent_forms) :])
        pairs = zip(rows.uids, rows.flags, strict=True)
        return [(recent_forms if uid in recent else forms)[flags] for uid, flags in pairs]

    def _recent_among(self, uids: Sequence[int]) -> Collection[int]:
        """Those that are recent, and perhaps others, as a set."""
        return frozenset(self._recent.between(uids[0], uids[-1]))

    def uids(self) -> "array[int]":
        """All uids the client knows of, ascending."""
        return self._uids.between_places(0, len(self._uids))

    def resolve(self, wanted: MessageSet, *, by_uid: bool, is_strict: bool = True) -> "array[int]":
        """The uids of a set, ascending; if strict, numbers out of range raise ImapSyntaxError."""
        match wanted:
            case SavedResult():
                return self._uids.those_of(self.saved)
            case NumberSet() if by_uid:
                return self._resolve_uids(wanted)
            case NumberSet(singles=singles) if singles and singles[-1] <= self.exists:
                return self._uids.at_places([number - 1 for number in singles])
            case NumberSet():
                return self._resolve_numbers(wanted, is_strict=is_strict)

    def _resolve_uids(self, wanted: NumberSet) -> "array[int]":
        """UIDs that do not exist are no error (RFC 3501 6.4.8)."""
        if wanted.singles:
            return self._uids.those_of(wanted.singles)
        found = array("I")
        if self._uids.last:
            for first, last in wanted.resolved(self._uids.last):
                found += self._uids.between(first, last)
        return found

    def _resolve_numbers(self, wanted: NumberSet, *, is_strict: bool) -> "array[int]":
        """A range may reach beyond the last message, but must begin before it; "*" always may."""
        found, exists = array("I"), self.exists
        for start, stop in wanted.resolved(exists):
            if is_strict and start > max(exists, 1):
                raise ImapSyntaxError("There is no message with this number")
            if start == stop and 0 < start <= exists:
                found.append(self._uids.at(start - 1))
            elif start > 0:
                found += self._uids.between_places(start - 1, stop)
        return found

    def opened_mail(self, uid: int) -> OpenedMail | None:
        """The mail that was read last: clients fetch big mails bit by bit."""
        return self._opened[1] if self._opened is not None and self._opened[0] == uid else None

    def keep_opened(self, uid: int, mail: OpenedMail) -> None:
        """Keep a mail for `opened_mail`; only the last one is kept."""
        self._opened = (uid, mail)

    def forget_changes(self, rows: Iterable[MessageRow]) -> None:
        """Do not announce changes that the client made itself and was answered for."""
        for row in rows:
            pending = self._changed.get(row.uid)
            if pending is not None and pending.modseq <= row.modseq:
                del self._changed[row.uid]

    def new_keywords(self) -> tuple[str, ...] | None:
        """All keywords if there are some that the client does not know yet, once."""
        if self.folder.keywords == self._keywords:
            return None
        self._keywords = self.folder.keywords
        return self._keywords

    def announce(self, *, may_expunge: bool) -> Announcement:
        """Take over what changed; what is returned must be sent before anything else."""
        expunged_places, expunged = self._take_expunged() if may_expunge else ([], [])
        appended = self._take_appended()
        changed, self._changed = self._changed, {}
        numbered = [(self.number(uid), row) for uid, row in changed.items()]
        return Announcement(
            expunged_numbers=[place + 1 for place in reversed(expunged_places)],
            expunged_uids=expunged,
            exists=self.exists if appended else None,
            appended=appended,
            recent=self.recent,
            changed=sorted((n, row) for n, row in numbered if n is not None),
        )

    def _take_expunged(self) -> tuple[list[int], list[int]]:
        if not self._expunged:
            return [], []
        expunged = sorted(self._expunged)
        self._expunged = []
        self._recent.remove(expunged)
        for uid in expunged:
            self._changed.pop(uid, None)
        return self._uids.remove(expunged), expunged

    def _take_appended(self) -> Sequence[int]:
        appended, self._appended = sorted(self._appended), []
        self._uids.extend(appended)
        if appended and not self.is_read_only:
            self._claim_recent()
        return appended

    def _claim_recent(self) -> None:
        first = self.folder.claim_recent()
        self._recent.extend(uid for uid in self._uids.between(first, self._uids.last))

    def _note(self, change: FolderChange) -> None:
        """Remember a change of the folder; called by the folder at any time."""
        match change:
            case Appended(uids):
                if min(uids) <= self._uids.last:
                    # Only after a rebuild that lacked another device's log for a while. A client
                    # takes UIDs for ascending; when it selects anew, it finds what came late.
                    self.farewell = "Mail came back to the folder, please select it again"
                self._appended.extend(uid for uid in uids if uid > self._uids.last)
            case FlagsChanged(rows):
                last = self._uids.last  # flags of what is still unannounced come with it
                self._changed.update((row.uid, row) for row in rows if row.uid <= last)
            case Expunged(uids):
                self._note_expunged(uids)
            case FolderGone():
                self.farewell = "The selected folder was deleted"
        if self._on_change is not None:
            self._on_change()

    def _note_expunged(self, uids: Sequence[int]) -> None:
        if self._appended:  # the client never hears of what came and went unannounced
            gone = frozenset(uids)
            self._appended = [uid for uid in self._appended if uid not in gone]
        last = self._uids.last
        self._expunged.extend(uid for uid in uids if uid <= last)
