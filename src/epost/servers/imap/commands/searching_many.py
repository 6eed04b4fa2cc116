"""ESEARCH: one search in several folders (RFC 7377)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epost.apps.mail.mailbox import AccountMail
from epost.foundation.errors import NoSuchFolder
from epost.servers.imap.commands.searching import (
    extended_line,
    highest_modseq,
    return_options,
    within,
)
from epost.servers.imap.folder_sources import Source, Surroundings, source
from epost.servers.imap.replies import Reply, bad, ok
from epost.servers.imap.search import Search
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.search_keys import SearchKey, is_modseq_search, search_keys
from epost.servers.imap.verbs import MailVerb, Verb, after_space
from epost.servers.imap.view import FolderView


@dataclass(frozen=True, slots=True)
class SearchManyRequest:
    """Where to search, for what, and how to answer."""

    sources: Sequence[Source]
    key: SearchKey
    returns: frozenset[bytes]


async def search_many(session: Session, mail: AccountMail, request: SearchManyRequest) -> Reply:
    """Search folder by folder; nothing is said of a folder in which nothing was found."""
    if session.view is None and any(one.is_selected for one in request.sources):
        return bad("Please select a folder first")
    if b"SAVE" in request.returns:
        return bad("SAVE is for the selected folder: use SEARCH")
    for name in await _names(session, mail, request.sources):
        try:
            await _search_in(session, mail, name, request)
        except NoSuchFolder:  # never there, or deleted meanwhile
            continue
    return ok("That is all")


async def _search_in(
    session: Session, mail: AccountMail, name: str, request: SearchManyRequest
) -> None:
    folder = await mail.open(name)
    counters = await mail.counters(name)
    view = FolderView(
        folder, name, is_read_only=True, unclaimed=counters.recent, modes=session.modes
    )
    try:
        uids = await Search(session, view).among(view.uids(), request.key)
        if uids:
            told = within(uids, request.returns)
            with_modseq = is_modseq_search(request.key)
            modseq = await highest_modseq(view, told) if with_modseq else None
            place = b" MAILBOX %b UIDVALIDITY %d" % (
                session.shown_name(name),
                counters.uid_validity,
            )
            line = extended_line(
                session.tag, request.returns, uids, modseq, by_uid=True, place=place
            )
            session.send(line)
    finally:
        view.close()
    await session.client.breathe()


async def _names(session: Session, mail: AccountMail, sources: Sequence[Source]) -> Sequence[str]:
    """The folders that the sources mean, each once, in the order in which they were named."""
    everything = [info.name for info in await mail.folders()]
    surroundings = await Surroundings.of(mail)
    found: dict[str, None] = {}
    for one in sources:
        if one.is_selected:
            assert session.view is not None
            found[session.view.name] = None
        elif one.kind == b"MAILBOXES":
            found.update(dict.fromkeys(one.names))
        else:
            names = (name for name in everything if one.has(name, surroundings))
            found.update(dict.fromkeys(names))
    return list(found)


def search_many_request(cursor: Cursor) -> SearchManyRequest:
    """Sources, return options, charset, keys."""
    sources: Sequence[Source] = (Source(b"SELECTED"),)
    if cursor.at_word(b"IN"):
        cursor.word()
        cursor.space()
        sources = cursor.listed(lambda: source(cursor))
        cursor.space()
    returns = return_options(cursor) or frozenset({b"ALL"})
    return SearchManyRequest(sources, search_keys(cursor), returns)


VERBS: Mapping[bytes, Verb] = {
    b"ESEARCH": MailVerb(after_space(search_many_request), search_many, numbers_stay=True)
}
