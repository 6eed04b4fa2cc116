"""Groups of folders that a command can name: INBOXES, SUBTREE and so on (RFC 5465 6, RFC 7377)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from epost.apps.mail.folders.account_changes import FolderNamed
from epost.apps.mail.mailbox import INBOX, SEPARATOR, AccountMail, SpecialUse
from epost.servers.imap.limits import PATTERNS_PER_LIST_MAX
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.folder_names import folder_name

SELECTED_KINDS = (b"SELECTED", b"SELECTED-DELAYED")
_PLAIN_KINDS = (*SELECTED_KINDS, b"INBOXES", b"PERSONAL", b"SUBSCRIBED")
_NAMING_KINDS = (b"SUBTREE", b"SUBTREE-ONE", b"MAILBOXES")


@dataclass(slots=True)
class Surroundings:
    """What must be known of an account to tell which folders a group has at the moment."""

    subscribed: set[str] = field(default_factory=set)
    inboxes: set[str] = field(default_factory=lambda: {INBOX})

    @classmethod
    async def of(cls, mail: AccountMail) -> "Surroundings":
        """As they are now. Mail is delivered to INBOX, or to where junk goes."""
        junk = (i.name for i in await mail.folders() if i.special_use is SpecialUse.JUNK)
        return cls(set(await mail.subscriptions()), {INBOX, *junk})

    def rename(self, change: FolderNamed) -> None:
        """Follow a folder to which mail is delivered."""
        if change.old_name in self.inboxes and change.old_name != INBOX:
            self.inboxes.discard(change.old_name)
            if change.name is not None:
                self.inboxes.add(change.name)


@dataclass(frozen=True, slots=True)
class Source:
    """Some of an account's folders."""

    kind: bytes
    names: Sequence[str] = ()

    @property
    def is_selected(self) -> bool:
        """Whether it is the selected folder, whichever that is."""
        return self.kind in SELECTED_KINDS

    def has(self, name: str, surroundings: Surroundings) -> bool:
        """Whether a folder is one of them; of the selected one this cannot be told here."""
        match self.kind:
            case b"INBOXES":
                return name in surroundings.inboxes
            case b"PERSONAL":
                return True
            case b"SUBSCRIBED":
                return name in surroundings.subscribed
            case b"MAILBOXES":
                return name in self.names
            case b"SUBTREE" | b"SUBTREE-ONE":
                return self._is_below(name)
            case _:
                return False

    def _is_below(self, name: str) -> bool:
        """Whether a folder is one of those named, or below it; of SUBTREE-ONE, right below it."""
        for top in self.names:
            below = name.removeprefix(top + SEPARATOR)
            is_right_below = below != name and SEPARATOR not in below
            is_deep = below != name and self.kind == b"SUBTREE"
            if name == top or is_right_below or is_deep:
                return True
        return False


def source(cursor: Cursor) -> Source:
    """Take a kind of folders, and their names where it wants some."""
    kind = cursor.word()
    if kind in _PLAIN_KINDS:
        return Source(kind)
    if kind not in _NAMING_KINDS:
        raise ImapSyntaxError("Unknown kind of folders")
    cursor.space()
    if not cursor.at(b"("):
        return Source(kind, (folder_name(cursor),))
    names = cursor.listed(lambda: folder_name(cursor))
    if len(names) > PATTERNS_PER_LIST_MAX:
        raise ImapSyntaxError("Too many folders are named")
    return Source(kind, names)
