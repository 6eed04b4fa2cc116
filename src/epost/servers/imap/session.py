"""The state of one client's connection, whatever carries it (RFC 3501 section 3)."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from epost.apps.mail.mailbox import AccountMail
from epost.servers.access import Channel
from epost.servers.imap import capabilities
from epost.servers.imap.announcing import announcement_lines, keyword_lines
from epost.servers.imap.limits import PROGRESS_SECONDS, ROWS_PER_SLICE
from epost.servers.imap.modes import Modes
from epost.servers.imap.site import ImapSite
from epost.servers.imap.syntax.folder_names import encoded_name
from epost.servers.imap.syntax.formats import string
from epost.servers.imap.view import FolderView
from epost.servers.imap.watch import EVERYTHING, Watch


class Client(Protocol):
    """The other end, as the commands see it."""

    def send(self, data: bytes) -> None:
        """Queue a piece of a response; `breathe` often enough to keep the queue small."""
        ...

    async def breathe(self) -> None:
        """Send what is queued, wait while the client is slow, and let others work."""
        ...

    async def read_line(self) -> bytes:
        """The client's answer to a continuation request, without its line end."""
        ...

    @property
    def can_compress(self) -> bool:
        """Whether the connection is not compressed yet."""
        ...

    @property
    def can_start_tls(self) -> bool:
        """Whether STARTTLS is offered, which it is no more once it was used."""
        ...


class Session:
    """Who is logged in, what is selected, what is enabled. Commands are its methods' users."""

    def __init__(self, *, client: Client, site: ImapSite, channel: Channel) -> None:
        self.client = client
        self.site = site
        self.channel = channel
        self.mail: AccountMail | None = None
        self.view: FolderView | None = None
        self.watch: Watch | None = None  # what NOTIFY asked for, if it was used
        self.tag = b""  # of the command that is being carried out
        self.modes = Modes()
        self.account = ""  # whose mail it is, once somebody is logged in
        self.is_read_only = False  # the password is good for reading only
        self.starts_tls = False  # after this command
        self.starts_compression = False  # after this command
        self._progress_told = 0.0  # when the client last heard something of the command
        self.farewell: str | None = None  # set: say BYE with this text after the command

    def send(self, *pieces: bytes) -> None:
        """Queue pieces of a response."""
        for piece in pieces:
            self.client.send(piece)

    def capabilities(self) -> list[bytes]:
        if self.mail is not None:
            return capabilities.after_login(self.site.limits)
        return capabilities.before_login(
            self.site.authenticator.mechanisms(self.channel),
            passwords_allowed=self.channel.passwords_allowed,
            starttls=self.client.can_start_tls,
        )

    def select(self, view: FolderView | None) -> None:
        """Make a folder the selected one, or none."""
        if self.view is not None:
            self.view.close()
        self.view = view

    def forget_saved(self) -> None:
        """A search that was to be saved has failed: $ is the empty set."""
        if self.view is not None:
            self.view.saved = array("I")

    def watch_with(self, watch: Watch | None) -> None:
        """Tell from now on what this watch wants, None: what every client is told."""
        if self.watch is not None:
            self.watch.close()
        self.watch = watch

    def when_news(self, wake: Callable[[], None] | None) -> None:
        """Have `wake` called when there may be something to tell, until told None."""
        if self.view is not None:
            self.view.when_changed(wake)
        if self.watch is not None:
            self.watch.when_changed(wake)

    @property
    def knows_modseq(self) -> bool:
        """Whether changes are told with their MODSEQs."""
        return self.modes.knows_modseq

    def shown_name(self, name: str) -> bytes:
        """A folder's name for a response."""
        return encoded_name(name, is_utf8=self.modes.is_utf8)

    def begin(self, tag: bytes) -> None:
        """A command begins."""
        self.tag = tag
        self._progress_told = self.site.clock.now()

    def tell_progress(self, done: int, goal: int) -> None:
        """Tell now and then how far a command has come that takes long (RFC 9585)."""
        now = self.site.clock.now()
        if now - self._progress_told >= PROGRESS_SECONDS and 0 < done < goal:
            self._progress_told = now
            self.send(
                b"* OK [INPROGRESS (%b %d %d)] Still at it\r\n" % (string(self.tag), done, goal)
            )

    def enable_modseq(self) -> None:
        """The client has shown that it knows MODSEQs: tell the folder's, once (RFC 7162 3.1)."""
        if not self.modes.knows_modseq and self.view is not None:
            latest = self.view.folder.highest_modseq
            self.send(b"* OK [HIGHESTMODSEQ %d] Latest change\r\n" % latest)
        self.modes.knows_modseq = True

    def end(self, farewell: str) -> None:
        """Hang up after this command."""
        self.farewell = farewell

    async def announce(self, *, may_expunge: bool, is_asked: bool = False) -> None:
        """Tell what changed in the selected folder since the client was told last.

        A client that has used NOTIFY hears what it wants to, and what it asks for by a command.
        """
        view = self.view
        if view is None:
            return
        if view.farewell is not None:
            self.select(None)
            self.end(view.farewell)
            return
        wanted = EVERYTHING if self.watch is None else self.watch.selected
        if not (wanted.messages or is_asked):
            return
        self.announce_keywords(view)
        news = view.announce(may_expunge=may_expunge)
        if not (wanted.flags or is_asked):
            news = replace(news, changed=())
        await self.send_many(announcement_lines(news, view))
        if news.appended and wanted.tell_new is not None:
            await wanted.tell_new(news.appended)

    def announce_keywords(self, view: FolderView) -> None:
        """Tell of new keywords, which must be known before a message shows them."""
        keywords = view.new_keywords()
        if keywords is not None:
            self.send(*keyword_lines(keywords, is_read_only=view.is_read_only))

    async def send_many(self, lines: Iterator[bytes]) -> None:
        """Send any number of short lines without keeping others from working."""
        for count, line in enumerate(lines, 1):
            self.client.send(line)
            if count % ROWS_PER_SLICE == 0:
                await self.client.breathe()
