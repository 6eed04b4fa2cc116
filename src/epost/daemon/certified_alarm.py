"""Telling the user that the authority's log says something about her that it must not say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

from epost.apps.mail.mailbox import INBOX, NewMail
from epost.apps.mail.service import MailService
from epost.crypto.certificates import ACCOUNT_CERT, NODE_CERT
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node
from epost.node.certified_watch import Alarm, Certified, CertifiedWatch
from epost.node.renewal import Standing


def own_certificates(standing: Standing) -> Sequence[Certified]:
    """Return what the authority has certified for this machine and its user."""
    node = NODE_CERT.decode(parse(standing.node_certificate, Kind.NODE).body)
    own = [Certified(node.node_id, node.node_key, node.issuer, node.log_sequence)]
    if standing.account_certificate:
        data = parse(standing.account_certificate, Kind.ACCOUNT).body
        account = ACCOUNT_CERT.decode(data)
        key = account.account_key
        where = account.issuer, account.log_sequence
        own.append(Certified(account.name.encode(), key, *where))
        own += [Certified(n.encode(), key, *where, is_former=True) for n in account.aliases]
    return own


def alarm_advice(alarms: Sequence[Alarm]) -> list[str]:
    """Say what was found, for `epost status`."""
    return [
        f"ALARM: the authority's log of certificates, entry {alarm.sequence}: {alarm.text}. Mail "
        "to you could be sealed to somebody else. Ask whoever runs the organisation, by another "
        "way than mail."
        for alarm in alarms
    ]


def make_watch(node: Node, standing: Standing, observer: Observer, clock: Clock) -> CertifiedWatch:
    """Return the watch of a node, which tells its user, if it has one, by a mail."""

    async def tell(alarm: Alarm) -> None:
        await node.ready()
        if node.mail is not None and node.post is not None:
            name = node.post.services.accounts.me.name
            await tell_in_inbox(node.mail, name, alarm, clock)

    return CertifiedWatch(
        node,
        lambda: own_certificates(standing),
        observer,
        on_alarm=tell,
        wall_ms=clock.wall_ms,
    )


async def tell_in_inbox(mail: MailService, name: str, alarm: Alarm, clock: Clock) -> None:
    """Put a mail about an alarm into the user's own inbox."""
    (advice,) = alarm_advice([alarm])
    date = format_datetime(datetime.fromtimestamp(clock.wall_ms() / 1000, UTC))
    head = (
        f"From: {name}\r\nTo: {name}\r\nDate: {date}\r\n"
        "Subject: Alarm: the log of certificates\r\nAuto-Submitted: auto-generated\r\n\r\n"
    )
    text = f"This machine found:\r\n\r\n{advice}\r\n"
    inbox = await mail.mailbox.open(INBOX)
    await inbox.append([NewMail((head + text).encode())])
