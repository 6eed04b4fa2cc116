"""Who a mail says it is from: only an account's own names may stand there (crypto 7.5, E16).

Checked where a mail is submitted and again, by the recipient's device, where it arrives: the
signature of a notice proves who sent it, so the header must not say another name.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from epost.apps.mail.mime.addresses import mailboxes
from epost.apps.mail.mime.headers import (
    FIELDS_READ_MAX,
    HEADER_BYTES_READ_MAX,
    HeaderFields,
    read_fields,
)
from epost.apps.mail.mime.structure import Part
from epost.crypto.certificates import AccountCert, AccountFlag
from epost.crypto.names import canonical
from epost.foundation.errors import NotPermitted, RefusedError
from epost.foundation.octets import Joined, Octets, excerpt

RESERVED_PREFIX = "x-epost-"
"""Header fields that only this program's gateways write."""

_BLIND = re.compile(
    rb"^(?:resent-)?bcc[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)", re.IGNORECASE | re.MULTILINE
)
_BARE_CR = re.compile(rb"\r(?!\n)")


def read_checked_header(octets: Octets, mail: Part) -> HeaderFields:
    """Read a mail's header; raises NotPermitted if programs could read it differently.

    A field that this program passes over, but a mail client shows, would escape the check.
    """
    block = mail.header.cut(octets, HEADER_BYTES_READ_MAX + 1)
    if len(block) > HEADER_BYTES_READ_MAX or _BARE_CR.search(block):
        raise NotPermitted("the header is too long, or has a CR that ends no line")
    fields = read_fields(block)
    if sum(1 for _ in fields) >= FIELDS_READ_MAX:
        raise NotPermitted("the header has too many fields")
    return fields


def require_own_names(fields: HeaderFields, account: AccountCert) -> None:
    """Raise NotPermitted unless From (and Sender, if any) name this account only.

    A gateway's account may pass on mail from anybody.
    """
    if account.flags & AccountFlag.GATEWAY:
        return
    own = names_of(account)
    if not fields.every("from"):
        raise NotPermitted("the mail has no From field")
    for name in ("from", "sender"):
        for value in fields.every(name):
            _require_own(name, value, own)


def require_unreserved(fields: HeaderFields) -> None:
    """Raise NotPermitted for header fields that only gateways may write."""
    for field in fields:
        if field.name.startswith(RESERVED_PREFIX):
            raise NotPermitted(f"the field {field.name} is reserved")


def names_of(account: AccountCert) -> frozenset[str]:
    """Return the name and the aliases of an account."""
    return frozenset((account.name, *account.aliases))


def is_own_name(address: str, own: Collection[str]) -> bool:
    """Is an address, in any spelling, one of these names?"""
    try:
        return canonical(address) in own
    except RefusedError:
        return False


def without_blind_copies(octets: Octets, mail: Part) -> Octets:
    """Return the mail without Bcc: the one thing that is ever changed in it (RFC 5322 3.6.3)."""
    header = mail.header.cut(octets)
    remaining = _BLIND.sub(b"", header)
    if len(remaining) == len(header):
        return octets
    body = excerpt(octets, mail.header.end, len(octets))
    return remaining + body if isinstance(body, bytes) else Joined((remaining, body))


def _require_own(field: str, value: str, own: Collection[str]) -> None:
    authors = mailboxes(value)
    # More brackets than addresses: other programs may see another address than we do.
    if not authors or value.count("<") > len(authors):
        raise NotPermitted(f"the {field} field names nobody, or cannot be read safely")
    for author in authors:
        if not is_own_name(f"{author.local_part}@{author.domain}", own):
            yours = f"; write {min(own)}" if len(own) == 1 else ""
            raise NotPermitted(f"the {field} field names somebody else{yours}")
