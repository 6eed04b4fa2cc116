"""IDLE: the client waits, we tell (RFC 2177)."""

import asyncio
from collections.abc import Mapping

from epost.apps.mail.mailbox import AccountMail
from epost.servers.imap.commands.notifying import tell_news
from epost.servers.imap.replies import Reply, bad, ok
from epost.servers.imap.session import Session
from epost.servers.imap.verbs import MailVerb, Verb, no_arguments


async def idle(session: Session, _mail: AccountMail, _request: None) -> Reply:
    """Announce changes as they happen, until the client says DONE."""
    wake = asyncio.Event()
    session.send(b"+ idling\r\n")
    await session.client.breathe()
    answer = asyncio.create_task(session.client.read_line())
    answer.add_done_callback(lambda _: wake.set())
    session.when_news(wake.set)
    try:
        while not answer.done():
            await tell_news(session, may_expunge=True)
            await session.client.breathe()
            if session.farewell is not None:
                return ok("Idled")
            await wake.wait()
            wake.clear()
        line = await answer
    finally:
        answer.cancel()
        session.when_news(None)
    return ok("Idled") if line.upper() == b"DONE" else bad("DONE expected")


VERBS: Mapping[bytes, Verb] = {b"IDLE": MailVerb(no_arguments, idle)}
