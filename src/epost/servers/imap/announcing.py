"""Untagged responses about the selected folder (RFC 3501 7.2.6, 7.3, 7.4)."""

from collections.abc import Iterator, Sequence

from epost.apps.mail.mailbox import KEYWORDS_PER_FOLDER_MAX, SYSTEM_FLAGS, MessageRow
from epost.servers.imap.syntax.flags import RECENT, flag_list
from epost.servers.imap.syntax.sequences import format_set
from epost.servers.imap.view import Announcement, FolderView


def announcement_lines(news: Announcement, view: FolderView) -> Iterator[bytes]:
    """Everything the client must hear, in order."""
    modes = view.modes
    if not (modes.wants_vanished or modes.is_uid_only):
        for number in news.expunged_numbers:
            yield b"* %d EXPUNGE\r\n" % number
    elif news.expunged_uids:
        yield b"* VANISHED %b\r\n" % format_set(news.expunged_uids)
    if news.exists is not None:
        yield size_lines(view)
    for number, row in news.changed:
        yield change_line(number, row, view, with_uid=True)


def size_lines(view: FolderView) -> bytes:
    """How many messages there are; what is recent is nothing to IMAP4rev2 (RFC 9051 E)."""
    exists = b"* %d EXISTS\r\n" % view.exists
    return exists if view.modes.is_rev2 else exists + b"* %d RECENT\r\n" % view.recent


def change_line(
    number: int, row: MessageRow, view: FolderView, *, with_uid: bool, with_flags: bool = True
) -> bytes:
    """The present flags and MODSEQ of a message, as far as the client wants to hear of them."""
    modes = view.modes
    items = [b"UID %d" % row.uid] if with_uid and not modes.is_uid_only else []
    if with_flags:
        items.append(b"FLAGS " + flags_shown(row, view))
    if modes.knows_modseq:
        items.append(b"MODSEQ (%d)" % row.modseq)
    name = b"%d UIDFETCH" % row.uid if modes.is_uid_only else b"%d FETCH" % number
    return b"* %b (%b)\r\n" % (name, b" ".join(items))


def keyword_lines(keywords: Sequence[str], *, is_read_only: bool) -> Iterator[bytes]:
    """FLAGS and PERMANENTFLAGS, sent at SELECT and when a keyword is new."""
    known = " ".join((*SYSTEM_FLAGS, *keywords)).encode("ascii")
    yield b"* FLAGS (%b)\r\n" % known
    may_add = b" \\*" if len(keywords) < KEYWORDS_PER_FOLDER_MAX else b""
    settable = b"" if is_read_only else known + may_add
    yield b"* OK [PERMANENTFLAGS (%b)] Flags that are kept\r\n" % settable


def flags_shown(row: MessageRow, view: FolderView) -> bytes:
    r"""A message's flags, with \Recent where it belongs."""
    return flag_list(row.flags | {RECENT} if view.is_recent(row.uid) else row.flags)
