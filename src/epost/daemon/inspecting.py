"""The inspection of an account as a job of the daemon, which the command line watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from epost.apps.mail.references import references_in_notice, references_of_mails
from epost.apps.mail.service import MailService
from epost.daemon.control import Command
from epost.foundation.errors import EpostError, NoSuchUser
from epost.node.assembly import Node
from epost.post.account_reach import AccountReach, Piece
from epost.post.app_ids import AppId
from epost.post.assembly import Post
from epost.post.inspection import Finding, Inspection


class InspectionJob:
    """At most one inspection at a time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._inspection: Inspection | None = None
        self._is_running = False
        self._error = ""

    def commands(self) -> dict[str, Command]:
        """Return the commands of the control socket by name."""
        return {"inspect": self._begin, "inspect-progress": self._progress}

    async def _begin(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin, unless one is under way: then that one is watched."""
        node = self._node
        if node.post is None or node.mail is None:
            raise NoSuchUser("this machine only stores: it has no account")
        if not self._is_running:
            self._inspection = Inspection(
                node.blocks,
                node.issuers.replication_factor,
                repairs=bool(request.get("repair")),
                reads_every_copy=bool(request.get("every_copy")),
            )
            self._is_running, self._error = True, ""
            node.driver.run_story(self._run(self._inspection, node.post, node.mail))
        return await self._progress({})

    async def _run(self, inspection: Inspection, post: Post, mail: MailService) -> None:
        try:
            await inspection.run(_pieces(self._node, post, mail))
            await inspection.look_at_snapshot(post.services.snapshots)
        except EpostError as error:
            self._error = str(error)
        finally:
            self._is_running = False

    async def _progress(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._inspection is None:
            return {"finished": True, "error": "nothing was inspected since the daemon started"}
        report = self._inspection.report
        return {
            "finished": not self._is_running,
            "failure": self._error,
            "counting": report.is_counting,
            "checked": report.checked,
            "total": report.total,
            "copies_wanted": self._node.issuers.replication_factor(),
            "repaired": report.repaired,
            "lacking": report.lacking,
            # Many are told at the end only: the progress is asked for several times a second.
            "findings": [] if self._is_running else list(map(_finding, report.findings)),
        }


async def _pieces(node: Node, post: Post, mail: MailService) -> AsyncIterator[Piece]:
    """Yield everything that the account reaches: its own blocks, its mails, what is on its way."""
    services = post.services
    reach = AccountReach(
        accounts=services.accounts,
        blocks=node.blocks,
        messages=services.messages,
        snapshots=services.snapshots,
    )
    async for piece in reach.account():
        yield piece
    known: set[bytes] = set()
    async for reference in references_of_mails(mail.index, in_folders=True):
        if reference.digest in known:
            continue
        known.add(reference.digest)
        async for piece in reach.message(reference, "a mail"):
            yield piece
    for message in post.ledger.outbox.messages():
        outgoing = await post.ledger.outgoing(message.sequence)
        for content in outgoing.contents if outgoing.app == AppId.MAIL else ():
            for reference in references_in_notice(content):
                async for piece in reach.message(reference, "a mail that is on its way"):
                    yield piece


def _finding(finding: Finding) -> dict[str, Any]:
    handle = finding.piece.handle
    return {
        "of": finding.piece.of,
        "kind": handle.kind.name.lower(),
        "handle": handle.digest.hex(),
        "problem": finding.problem.value,
        "copies": finding.copies,
        "reason": finding.reason,
        "repaired": finding.is_repaired,
        "without": [node.hex() for node in finding.without],
    }
