"""NOTIFY: what happens in any folder is told without being asked for (RFC 5465)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from epost.apps.mail.folders.account_changes import AnnotationChanged, FolderNamed
from epost.apps.mail.mailbox import AccountMail
from epost.foundation.errors import NoSuchFolder
from epost.servers.imap.commands.fetching import Fetcher
from epost.servers.imap.commands.folders import status_line
from epost.servers.imap.commands.listing import list_line
from epost.servers.imap.commands.metadata import shown_owner
from epost.servers.imap.folder_sources import Source, Surroundings, source
from epost.servers.imap.folder_tree import FolderTree
from epost.servers.imap.limits import FOLDERS_PER_SLICE, NOTIFY_GROUPS_MAX
from epost.servers.imap.replies import Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.fetch_items import FetchItem, Item, fetch_items
from epost.servers.imap.syntax.formats import astring
from epost.servers.imap.verbs import MailVerb, Verb, after_space
from epost.servers.imap.watch import (
    MESSAGE_EVENTS,
    Event,
    EventGroup,
    News,
    SelectedEvents,
    Telling,
    TellNew,
    Watch,
    events_enabled,
)

_EVENTS = {event.value.upper(): event for event in Event}
_OVERFLOW = b"NOTIFICATIONOVERFLOW"


@dataclass(frozen=True, slots=True)
class NotifyRequest:
    """What to watch; no group at all for NONE."""

    groups: Sequence[EventGroup] = ()
    with_status: bool = False
    names_unknown_events: bool = False


async def notify(session: Session, mail: AccountMail, request: NotifyRequest) -> Reply:
    """NOTIFY SET and NOTIFY NONE; each replaces what was asked for before."""
    if request.names_unknown_events:
        known = b" ".join(event.value for event in Event)
        return no("Some of these events are not known here", b"BADEVENT (" + known + b")")
    if len(request.groups) > NOTIFY_GROUPS_MAX:
        return no("That is more than is told without being asked for", _OVERFLOW)
    if request.groups:  # as NOOP would (RFC 5465 3.1), whatever was wanted before
        await session.announce(may_expunge=True, is_asked=True)
    watch = Watch(
        request.groups,
        surroundings=await Surroundings.of(mail),
        selected=_selected_events(session, request.groups),
        always=events_enabled(session.modes),
    )
    session.watch_with(watch)
    watch.begin(mail)
    if request.with_status:
        await _tell_status_of_all(session, mail, watch)
    return ok("You will be told" if request.groups else "You will be told nothing")


def _selected_events(session: Session, groups: Sequence[EventGroup]) -> SelectedEvents:
    """Not to be named is not to be watched, also for the selected folder (RFC 5465 3.1)."""
    group = next((group for group in groups if group.source.is_selected), None)
    if group is None:
        return SelectedEvents()
    return SelectedEvents(
        messages=group.is_of_messages,
        flags=Event.FLAG_CHANGE in group.events,
        removals_at_once=group.source.kind == b"SELECTED",
        tell_new=_fetching(session, group.items) if group.items else None,
    )


def _fetching(session: Session, items: Sequence[FetchItem]) -> TellNew:
    async def fetch(uids: Sequence[int]) -> None:
        if session.view is not None:
            fetcher = Fetcher(session, session.view, items)
            for start in range(0, len(uids), fetcher.slice_size):
                await fetcher.fetch(uids[start : start + fetcher.slice_size])

    return fetch


async def _tell_status_of_all(session: Session, mail: AccountMail, watch: Watch) -> None:
    """The state from which the client follows the changes."""
    for count, info in enumerate(await mail.folders(), 1):
        group = watch.group_of(info.name)
        is_selected = session.view is not None and session.view.folder_id == info.folder_id
        if group is not None and group.is_of_messages and not is_selected:
            await _tell_status(session, mail, info.name, group)
        if count % FOLDERS_PER_SLICE == 0:
            await session.client.breathe()


async def _tell_status(session: Session, mail: AccountMail, name: str, group: EventGroup) -> None:
    items = [b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"]
    watches_flags = Event.FLAG_CHANGE in group.events
    if watches_flags:
        items.append(b"UNSEEN")
    if watches_flags or session.knows_modseq:
        items.append(b"HIGHESTMODSEQ")
    try:
        counters = await mail.counters(name)
    except NoSuchFolder:  # deleted meanwhile
        return
    session.send(status_line(session, name, items, counters, 0))


async def tell_news(session: Session, *, may_expunge: bool) -> None:
    """Tell what happened since the client was told last, in its folder and in all others."""
    await session.announce(may_expunge=may_expunge)
    watch, mail = session.watch, session.mail
    if watch is None or mail is None:
        return
    news = watch.take()
    if news.is_overflowing:  # as if NOTIFY NONE had come (RFC 5465 5.8)
        session.watch_with(Watch())
        session.send(b"* OK [%b] You are told no more\r\n" % _OVERFLOW)
        return
    if news.names:
        tree = FolderTree(await mail.folders(), await mail.subscriptions())
        await session.send_many(_name_lines(session, tree, news.names))
    await _tell_changed_folders(session, mail, watch, news)


async def _tell_changed_folders(
    session: Session, mail: AccountMail, watch: Watch, news: News
) -> None:
    selected = session.view.folder_id if session.view is not None else ""
    for count, (folder_id, name) in enumerate(news.folders.items(), 1):
        group = watch.group_of(name)
        if group is not None and folder_id != selected:
            await _tell_status(session, mail, name, group)
        if count % FOLDERS_PER_SLICE == 0:
            await session.client.breathe()


def _name_lines(session: Session, tree: FolderTree, names: Sequence[Telling]) -> Iterator[bytes]:
    for change in names:
        if isinstance(change, AnnotationChanged):
            owner = shown_owner(session, change.folder_name)
            yield b"* METADATA %b %b\r\n" % (owner, astring(change.name.encode("ascii")))
        elif not isinstance(change, FolderNamed):
            yield list_line(session, b"LIST", tree.described(change.name))
        elif change.name is None:
            assert change.old_name is not None
            yield list_line(session, b"LIST", tree.described(change.old_name))
        else:
            listed = replace(tree.described(change.name), old_name=change.old_name)
            yield list_line(session, b"LIST", listed)


def notify_request(cursor: Cursor) -> NotifyRequest:
    """NONE, or SET with groups of events."""
    form = cursor.word()
    if form == b"NONE":
        return NotifyRequest()
    if form != b"SET":
        raise ImapSyntaxError("SET or NONE expected")
    cursor.space()
    with_status = cursor.at_word(b"STATUS")
    if with_status:
        cursor.word()
        cursor.space()
    groups = [_group(cursor)]
    while cursor.skip(b" "):
        groups.append(_group(cursor))
    if sum(group is not None and group.source.is_selected for group in groups) > 1:
        raise ImapSyntaxError("The selected folder is named twice")
    known = [group for group in groups if group is not None]
    return NotifyRequest(known, with_status, names_unknown_events=len(known) < len(groups))


def _group(cursor: Cursor) -> EventGroup | None:
    """A group in parentheses; None if it has events that are not known here."""
    cursor.expect(b"(")
    where = source(cursor)
    if where.kind == b"SUBTREE-ONE":
        raise ImapSyntaxError("Unknown kind of folders")
    cursor.space()
    items: list[FetchItem] = []
    if cursor.at(b"("):
        names = cursor.listed(lambda: _event_name(cursor, items))
    elif cursor.word() == b"NONE":
        names = []
    else:
        raise ImapSyntaxError("Events expected")
    cursor.expect(b")")
    if not _EVENTS.keys() >= set(names):
        return None
    return _checked(where, frozenset(_EVENTS[name] for name in names), items)


def _event_name(cursor: Cursor, items: list[FetchItem]) -> bytes:
    name = cursor.word()
    if name == b"MESSAGENEW" and cursor.at(b" ("):
        cursor.space()
        items += map(_without_seeing, fetch_items(cursor))
    return name


def _without_seeing(item: FetchItem) -> FetchItem:
    """To be told of a mail is not to have seen it."""
    return item if isinstance(item, Item) else replace(item, sets_seen=False)


def _checked(where: Source, events: frozenset[Event], items: Sequence[FetchItem]) -> EventGroup:
    """Events that go together, and where they belong (RFC 5465 5, 6.1).

    The RFC wants them together everywhere, but of other folders any of them can be told by itself,
    and clients ask for that.
    """
    is_pair = {Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE} <= events
    if where.is_selected and events & MESSAGE_EVENTS and not is_pair:
        raise ImapSyntaxError("MessageNew and MessageExpunge belong together")
    if where.is_selected and not events <= MESSAGE_EVENTS:
        raise ImapSyntaxError("Of the selected folder only messages can be watched")
    return EventGroup(where, events, tuple(dict.fromkeys(items)))


VERBS: Mapping[bytes, Verb] = {b"NOTIFY": MailVerb(after_space(notify_request), notify)}
