"""Untagged responses about the selected folder (RFC 3501 7.2.6, 7.3, 7.4)."""

from collections.abc import Iterator, Sequence

from epost.apps.mail.mailbox import KEYWORDS_PER_FOLDER_MAX, SYSTEM_FLAGS, MessageRow
from epost.servers.imap.syntax.flags import RECENT, flag_list
from epost.servers.imap.view import Announcement, FolderView


def announcement_lines(
    news: Announcement, view: FolderView, *, with_modseq: bool
) -> Iterator[bytes]:
    """Everything the client must hear, in order."""
    for number in news.expunged_numbers:
        yield b"* %d EXPUNGE\r\n" % number
    if news.exists is not None:
        yield b"* %d EXISTS\r\n* %d RECENT\r\n" % (news.exists, news.recent)
    for number, row in news.changed:
        items = b"UID %d FLAGS %b" % (row.uid, flags_shown(row, view))
        if with_modseq:
            items += b" MODSEQ (%d)" % row.modseq
        yield fetch_line(number, items)


def fetch_line(number: int, items: bytes) -> bytes:
    """One untagged FETCH of small items."""
    return b"* %d FETCH (%b)\r\n" % (number, items)


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
