"""What the server says it can do (RFC 3501 7.2.1)."""

from collections.abc import Sequence

from epost.servers.imap.limits import ImapLimits

_ALWAYS = (b"IMAP4rev1", b"IMAP4rev2", b"SASL-IR", b"LITERAL+", b"ID", b"ENABLE")
_AFTER_LOGIN = (
    b"IDLE",
    b"NAMESPACE",
    b"UNSELECT",
    b"UIDPLUS",
    b"MOVE",
    b"CHILDREN",
    b"SPECIAL-USE",
    b"CREATE-SPECIAL-USE",
    b"LIST-EXTENDED",
    b"LIST-STATUS",
    b"STATUS=SIZE",
    b"CONDSTORE",
    b"QRESYNC",
    b"BINARY",
    b"PREVIEW",
    b"UIDONLY",
    b"UTF8=ACCEPT",
    b"ESEARCH",
    b"SEARCHRES",
    b"MULTIAPPEND",
    b"OBJECTID",
    b"COMPRESS=DEFLATE",
    b"WITHIN",
    b"REPLACE",
    b"MULTISEARCH",
    b"INPROGRESS",
    b"NOTIFY",
    b"METADATA",
    b"LIST-METADATA",
    b"SAVEDATE",
    b"ACL",
    b"QUOTA",
    b"QUOTA=RES-STORAGE",
    b"RIGHTS=texk",
    b"SORT",
    b"SORT=DISPLAY",
    b"ESORT",
    b"THREAD=ORDEREDSUBJECT",
    b"THREAD=REFERENCES",
)

ENABLEABLE = {
    b"CONDSTORE": b"CONDSTORE",
    b"QRESYNC": b"QRESYNC",
    b"UTF8=ACCEPT": b"UTF8=ACCEPT",
    b"IMAP4REV2": b"IMAP4rev2",
    b"UIDONLY": b"UIDONLY",
    b"METADATA": b"METADATA",
    b"METADATA-SERVER": b"METADATA-SERVER",
}
"""Names in upper case, and as they are written."""


def before_login(
    mechanisms: Sequence[str], *, passwords_allowed: bool, starttls: bool
) -> list[bytes]:
    """Capabilities of a connection on which nobody is logged in."""
    names = [*_ALWAYS]
    if starttls:
        names.append(b"STARTTLS")
    if not passwords_allowed:
        names.append(b"LOGINDISABLED")
    return names + [b"AUTH=" + name.encode("ascii") for name in mechanisms]


def after_login(limits: ImapLimits) -> list[bytes]:
    """Capabilities once somebody is logged in."""
    return [*_ALWAYS, *_AFTER_LOGIN, b"APPENDLIMIT=%d" % limits.mail_bytes_max]
