"""Telling the user that the authority's log says something about her that it must not say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from epost.apps.mail.service import MailService
from epost.crypto.certificates import AccountCert, recall_account, recall_node
from epost.daemon.account.own_inbox import put_in_inbox
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    RefusedError,
    UnavailableError,
)
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node
from epost.node.certified_notes import Alarm
from epost.node.certified_watch import Certified, CertifiedWatch
from epost.node.renewal import Standing

LOOKED_UP = 3
"""So often is the account looked up before a key counts as somebody else's: then who keeps it from
being found is no better than who shows another."""
LOOK_PAUSE_SECONDS = 10.0


def own_certificates(standing: Standing) -> Sequence[Certified]:
    """Return what the authority has certified for this machine and its user."""
    node = recall_node(standing.node_certificate)
    own = [Certified(node.node_id, node.node_key, node.issuer, node.log_sequence)]
    if standing.account_certificate:
        account = recall_account(standing.account_certificate)
        own += _under_all_names(account, account.account_key, account.generation)
    return own


def _under_all_names(account: AccountCert, key: bytes, generation: int) -> Sequence[Certified]:
    where = account.issuer, account.log_sequence
    return [
        Certified(n.encode(), key, *where, is_former=n != account.name, generation=generation)
        for n in (account.name, *account.aliases)
    ]


async def keys_in_ring(node: Node, standing: Standing) -> Sequence[Certified]:
    """Return all keys of the user's account, if the ring proves that hers is one of them.

    The authority brings a certificate of other keys there before it publishes that there is one.
    """
    if node.post is None:
        return ()
    own = recall_account(standing.account_certificate)
    for _ in range(LOOKED_UP):
        try:
            found = await node.post.services.accounts.resolve(own.name, fresh=True)
        except UnavailableError:
            await asyncio.sleep(LOOK_PAUSE_SECONDS)
            continue
        except (AuthenticityError, PeerError, RefusedError, NotFoundError):
            return ()
        if not found.has_had_keys_of(own):
            return ()
        pairs = enumerate(found.keys)
        return [c for number, key in pairs for c in _under_all_names(own, key, number)]
    return ()


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
        keys_in_ring=lambda: keys_in_ring(node, standing),
        on_alarm=tell,
        wall_ms=clock.wall_ms,
    )


async def tell_in_inbox(mail: MailService, name: str, alarm: Alarm, clock: Clock) -> None:
    """Put a mail about an alarm into the user's own inbox."""
    (advice,) = alarm_advice([alarm])
    text = f"This machine found:\r\n\r\n{advice}\r\n"
    await put_in_inbox(mail, name, "Alarm: the log of certificates", text, clock)
