"""What a client wants to hear of all folders, and what waits to be told (RFC 5465).

News wait here until the client reads: of a folder's messages it is enough to know that something
changed, so they take no more room than there are folders; names are told one by one, up to a bound.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from epost.apps.mail.folders.account_changes import (
    AccountChange,
    AccountReset,
    AnnotationChanged,
    FolderNamed,
    MessagesChanged,
    SubscriptionChanged,
)
from epost.apps.mail.mailbox import AccountMail
from epost.servers.imap.folder_sources import Source, Surroundings
from epost.servers.imap.limits import NOTIFIED_NAMES_WAITING_MAX
from epost.servers.imap.modes import Modes
from epost.servers.imap.syntax.fetch_items import FetchItem


class Event(Enum):
    """What may happen; the value is the name on the wire."""

    MESSAGE_NEW = b"MessageNew"
    MESSAGE_EXPUNGE = b"MessageExpunge"
    FLAG_CHANGE = b"FlagChange"
    MAILBOX_NAME = b"MailboxName"
    SUBSCRIPTION_CHANGE = b"SubscriptionChange"
    MAILBOX_METADATA_CHANGE = b"MailboxMetadataChange"
    SERVER_METADATA_CHANGE = b"ServerMetadataChange"


MESSAGE_EVENTS = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})


def events_enabled(modes: Modes) -> frozenset[Event]:
    """What is told of all folders because the client has said ENABLE."""
    events = {Event.SERVER_METADATA_CHANGE} if modes.hears_server_metadata else set()
    if modes.hears_metadata:
        events |= {Event.SERVER_METADATA_CHANGE, Event.MAILBOX_METADATA_CHANGE}
    return frozenset(events)


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Which events of which folders."""

    source: Source
    events: frozenset[Event] = frozenset()
    items: Sequence[FetchItem] = ()
    """What to fetch of a new message of the selected folder."""

    @property
    def is_of_messages(self) -> bool:
        """Whether it is about messages, too."""
        return bool(self.events & MESSAGE_EVENTS)


TellNew = Callable[[Sequence[int]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SelectedEvents:
    """What is told of the selected folder without being asked for."""

    messages: bool = False
    flags: bool = False
    removals_at_once: bool = False
    """Whether numbers may shift at any time, not just with a command (RFC 5465 6.1)."""
    tell_new: TellNew | None = None
    """Sends what the client wants to know of new messages, by UID."""


EVERYTHING = SelectedEvents(messages=True, flags=True)
"""What IMAP tells a client that never used NOTIFY."""

Telling = FolderNamed | SubscriptionChanged | AnnotationChanged


@dataclass(slots=True)
class News:
    """What the client is to be told."""

    names: list[Telling] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)
    """Folders in which messages came, changed or went: names by id."""
    is_overflowing: bool = False


class Watch:
    """One client's interest in all folders; `close` it when that ends."""

    def __init__(
        self,
        groups: Sequence[EventGroup] = (),
        *,
        surroundings: Surroundings | None = None,
        selected: SelectedEvents | None = None,
        always: frozenset[Event] = frozenset(),
    ) -> None:
        """Without arguments: the client wants to hear nothing at all (NOTIFY NONE).

        `always` are events of all folders, whatever the groups say (ENABLE METADATA).
        """
        self._always = always
        self._groups = [group for group in groups if not group.source.is_selected]
        self._surroundings = surroundings or Surroundings()
        self.selected = selected or SelectedEvents()
        self._news = News()
        self._on_news: Callable[[], None] | None = None
        self._stop: Callable[[], None] = lambda: None

    def begin(self, mail: AccountMail) -> None:
        """Hear of changes from now on, if there are any to hear of."""
        self._stop()
        if self._groups or self._always:
            self._stop = mail.follow(self.note)

    def tell_always(self, events: frozenset[Event], mail: AccountMail) -> None:
        """From now on tell of these events in any folder, whatever the groups say."""
        self._always |= events
        self.begin(mail)

    def close(self) -> None:
        """Hear of no more changes."""
        self._stop()
        self._on_news = None

    def when_changed(self, wake: Callable[[], None] | None) -> None:
        """Have `wake` called when there are news, until told None."""
        self._on_news = wake

    def take(self) -> News:
        """Return what is to be told now; it is not told again."""
        news, self._news = self._news, News()
        return news

    def group_of(self, name: str) -> EventGroup | None:
        """The group that speaks of a folder: the first that names it."""
        return next((g for g in self._groups if g.source.has(name, self._surroundings)), None)

    def wants(self, name: str | None, event: Event) -> bool:
        """Whether an event in a folder of this name is to be told."""
        group = None if name is None else self.group_of(name)
        return event in self._always or (group is not None and event in group.events)

    def _wants_anywhere(self, event: Event) -> bool:
        """Whether an event that belongs to no folder is to be told."""
        return event in self._always or any(event in group.events for group in self._groups)

    def note(self, change: AccountChange) -> None:
        """Remember a change that the client wants to hear of; called at any time."""
        match change:
            case MessagesChanged():
                self._note_messages(change)
            case FolderNamed():
                self._note_name(change)
            case SubscriptionChanged(name, is_subscribed):
                known = self._surroundings.subscribed
                (known.add if is_subscribed else known.discard)(name)
                self._note_telling(change, self.wants(name, Event.SUBSCRIPTION_CHANGE))
            case AnnotationChanged(None):
                self._note_telling(change, self._wants_anywhere(Event.SERVER_METADATA_CHANGE))
            case AnnotationChanged(name):
                self._note_telling(change, self.wants(name, Event.MAILBOX_METADATA_CHANGE))
            case AccountReset():
                self._news.is_overflowing = True
        if self._on_news is not None:
            self._on_news()

    def _note_messages(self, change: MessagesChanged) -> None:
        if (
            (change.have_come and self.wants(change.name, Event.MESSAGE_NEW))
            or (change.have_gone and self.wants(change.name, Event.MESSAGE_EXPUNGE))
            or (change.have_new_flags and self.wants(change.name, Event.FLAG_CHANGE))
        ):
            self._news.folders[change.folder_id] = change.name

    def _note_name(self, change: FolderNamed) -> None:
        is_wanted = self.wants(change.old_name, Event.MAILBOX_NAME)
        self._surroundings.rename(change)
        self._note_telling(change, is_wanted or self.wants(change.name, Event.MAILBOX_NAME))
        if change.name is None:
            self._news.folders.pop(change.folder_id, None)
        elif change.folder_id in self._news.folders:
            self._news.folders[change.folder_id] = change.name

    def _note_telling(self, change: Telling, is_wanted: bool) -> None:
        if not is_wanted:
            return
        if len(self._news.names) < NOTIFIED_NAMES_WAITING_MAX:
            self._news.names.append(change)
        else:
            self._news.is_overflowing = True
