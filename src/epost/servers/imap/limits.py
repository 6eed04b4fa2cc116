"""Every bound of the IMAP server, in one place."""

from dataclasses import dataclass

from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class ImapLimits:
    """Bounds of one connection."""

    line_bytes_max: int = 64 * 1024  # all text of a command, without its literals
    login_literal_bytes_max: int = 4096  # before login (RFC 7888 section 5)
    literal_bytes_max: int = 64 * 1024  # of all commands but APPEND, together
    mail_bytes_max: int = MAIL_SIZE_BYTES_MAX  # announced as APPENDLIMIT (RFC 7889)
    append_bytes_max: int = 2**27  # all mails of one APPEND (RFC 3502) that are not in the spool
    literals_per_command_max: int = 1000
    skipped_literal_bytes_max: int = 2**30  # of a refused LITERAL+; beyond it we hang up
    bad_commands_max: int = 10  # in a row
    commands_before_login_max: int = 50
    login_timeout_seconds: float = 60.0
    idle_timeout_seconds: float = 30 * 60.0  # RFC 3501 5.4 wants at least 30 minutes
    stalled_timeout_seconds: float = 5 * 60.0  # a client that does not read what it asked for


# Work between two turns of the event loop; sized so that a slice stays well below 10 ms.
FOLDERS_PER_SLICE = 50
PROGRESS_SECONDS = 10.0  # between two words about a command that takes long
ROWS_PER_SLICE = 500
FLAGS_PER_SLICE = 20_000  # rows of which only the flags are looked at
LISTED_PER_SLICE = 2000  # rows that are formatted by columns
RENDERINGS_PER_SLICE = 500
LITERAL_IN_MEMORY_BYTES_MAX = 1 << 20  # longer ones, which only mails are, go to the spool
BODY_BYTES_PER_SLICE = 1 << 20
DECODED_BYTES_MAX = 1 << 26  # longer parts are decoded only if their base64 is regular;
# of longer headers no fields are chosen
SENT_BYTES_PER_SLICE = 1 << 18  # of what is too large to be in memory
LISTED_BYTES_PER_SLICE = 1 << 24  # mails whose headers are held in memory together
READ_BYTES = 64 * 1024

SEARCH_DEPTH_MAX = 128  # of keys within keys; a chain of ORs is as deep as one
KEYWORD_LENGTH_MAX = 100
SECTION_DEPTH_MAX = 100  # as deep as a mail's structure is read
FETCH_ITEMS_MAX = 100
PATTERNS_PER_LIST_MAX = 64
SORT_CRITERIA_MAX = 32
ORDERED_TOGETHER_MAX = 10_000  # SORT and THREAD of more messages: one after the other
METADATA_ENTRIES_MAX = 100  # in one command
NOTIFY_GROUPS_MAX = 64
NOTIFIED_NAMES_WAITING_MAX = 1000  # of folders that were made, renamed, subscribed and so on
