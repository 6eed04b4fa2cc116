"""A command of IMAP as data: its grammar, when it is allowed, and what carries it out.

The grammar is pure: bytes to a request. What runs is an `async def` that takes the request and the
part of the session that its state guarantees, so that no command can touch what is not there.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from epost.apps.mail.mailbox import AccountMail
from epost.servers.imap.replies import Reply, bad
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.view import FolderView

R = TypeVar("R")

Action = Callable[[Session], Awaitable[Reply]]


class Verb(Protocol):
    """One command, or its UID form."""

    @property
    def numbers_stay(self) -> bool:
        """Whether no EXPUNGE may be sent while it is in progress (RFC 3501 7.4.1)."""
        ...

    @property
    def removes(self) -> bool:
        """Whether messages are removed by it, so that EXPUNGE is its answer."""
        ...

    @property
    def speaks_numbers(self) -> bool:
        """Whether its arguments or answers hold message numbers."""
        ...

    def read(self, cursor: Cursor) -> Action:
        """Take the arguments, to the end; raises ImapSyntaxError."""
        ...


@dataclass(frozen=True, slots=True)
class AnyVerb(Generic[R]):
    """Allowed in every state."""

    grammar: Callable[[Cursor], R]
    run: Callable[[Session, R], Awaitable[Reply]]
    numbers_stay: bool = False
    speaks_numbers: bool = False
    removes: bool = False

    def read(self, cursor: Cursor) -> Action:
        request = _whole(cursor, self.grammar)

        async def act(session: Session) -> Reply:
            return await self.run(session, request)

        return act


@dataclass(frozen=True, slots=True)
class LoginVerb(Generic[R]):
    """Allowed while nobody is logged in."""

    grammar: Callable[[Cursor], R]
    run: Callable[[Session, R], Awaitable[Reply]]
    numbers_stay: bool = False
    speaks_numbers: bool = False
    removes: bool = False

    def read(self, cursor: Cursor) -> Action:
        request = _whole(cursor, self.grammar)

        async def act(session: Session) -> Reply:
            if session.mail is not None:
                return bad("You are logged in already")
            return await self.run(session, request)

        return act


@dataclass(frozen=True, slots=True)
class MailVerb(Generic[R]):
    """Allowed after login."""

    grammar: Callable[[Cursor], R]
    run: Callable[[Session, AccountMail, R], Awaitable[Reply]]
    numbers_stay: bool = False
    speaks_numbers: bool = False
    removes: bool = False

    def read(self, cursor: Cursor) -> Action:
        request = _whole(cursor, self.grammar)

        async def act(session: Session) -> Reply:
            if session.mail is None:
                return bad("Please log in first")
            return await self.run(session, session.mail, request)

        return act


@dataclass(frozen=True, slots=True)
class FolderVerb(Generic[R]):
    """Allowed while a folder is selected."""

    grammar: Callable[[Cursor], R]
    run: Callable[[Session, FolderView, R], Awaitable[Reply]]
    numbers_stay: bool = False
    speaks_numbers: bool = False
    removes: bool = False

    def read(self, cursor: Cursor) -> Action:
        request = _whole(cursor, self.grammar)

        async def act(session: Session) -> Reply:
            if session.view is None:
                return bad("Please select a folder first")
            return await self.run(session, session.view, request)

        return act


def no_arguments(cursor: Cursor) -> None:
    """The grammar of a command without arguments."""


def after_space(grammar: Callable[[Cursor], R]) -> Callable[[Cursor], R]:
    """The grammar of arguments that a space separates from the command's name."""

    def spaced(cursor: Cursor) -> R:
        cursor.space()
        return grammar(cursor)

    return spaced


def _whole(cursor: Cursor, grammar: Callable[[Cursor], R]) -> R:
    request = grammar(cursor)
    cursor.end()
    return request
