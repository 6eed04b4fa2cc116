"""QUOTA: how much the account's mail takes, and how much it may (RFC 9208).

There is one quota root, named "", for all folders. The limit is the organisation's and is put by
its policy: it is read here and not set.
"""

from collections.abc import Mapping

from epost.apps.mail.mailbox import AccountMail
from epost.foundation.errors import NoSuchFolder
from epost.servers.imap.limits import FOLDERS_PER_SLICE
from epost.servers.imap.replies import Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.folder_names import folder_name
from epost.servers.imap.verbs import MailVerb, Verb, after_space

_KIBIBYTE = 1024
_NO_ROOT = no("There is no such quota root", b"NONEXISTENT")


async def get_quota(session: Session, mail: AccountMail, root: bytes) -> Reply:
    """GETQUOTA (RFC 9208 4.1.2)."""
    if root:
        return _NO_ROOT
    await _send_quota(session, mail)
    return ok("That is all")


async def get_quota_root(session: Session, mail: AccountMail, name: str) -> Reply:
    """GETQUOTAROOT (RFC 9208 4.1.3)."""
    await mail.counters(name)  # is there such a folder?
    session.send(b'* QUOTAROOT %b ""\r\n' % session.shown_name(name))
    await _send_quota(session, mail)
    return ok("That is all")


async def _send_quota(session: Session, mail: AccountMail) -> None:
    """Without a limit there is a root and no resource in it (RFC 9208 5.1)."""
    limit = session.site.storage_limit()
    if not limit:
        session.send(b'* QUOTA "" ()\r\n')
        return
    used = await _octets_of_all_folders(session, mail)
    shown = -(-used // _KIBIBYTE), limit // _KIBIBYTE
    session.send(b'* QUOTA "" (STORAGE %d %d)\r\n' % shown)


async def _octets_of_all_folders(session: Session, mail: AccountMail) -> int:
    used = 0
    for count, info in enumerate(await mail.folders(), 1):
        try:
            used += (await mail.counters(info.name)).size
        except NoSuchFolder:  # deleted meanwhile
            continue
        if count % FOLDERS_PER_SLICE == 0:
            await session.client.breathe()
    return used


def quota_root(cursor: Cursor) -> bytes:
    """The name of a root."""
    return cursor.astring()


VERBS: Mapping[bytes, Verb] = {
    b"GETQUOTA": MailVerb(after_space(quota_root), get_quota),
    b"GETQUOTAROOT": MailVerb(after_space(folder_name), get_quota_root),
}
