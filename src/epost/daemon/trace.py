"""`epost trace`: why is this mail late, or where has it gone? (design 7)"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from epost.apps.mail.delivery.notice import read_notice
from epost.apps.mail.log.records import Insert, Noticed, Record, decode_record
from epost.apps.mail.mailbox import TextMatch, TextPlace
from epost.crypto.certificates import ACCOUNT_CERT, OrganisationTrust, open_device_certificate
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.errors import NoSuchMail, PeerError
from epost.node.assembly import Node
from epost.past.tickets import NodeCertificates
from epost.post.app_ids import AppId
from epost.post.notification.notices import decode_signed_notice, verify_notice
from epost.post.notification.records import POST_RECORD, Outgoing, PostRecord, Received
from epost.post.notification.tracing import Reached, Signature, TracedMessage


class Trace:
    """Answers of a running node, as JSON."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._nodes = NodeCertificates(lambda: node.issuers.trust)

    async def find(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what is known of a mail, sent or received.

        `message_id` is of its header, or what the submission was answered with. Raises NoSuchMail.
        """
        wanted = str(request.get("message_id", "")).strip()
        post = self._node.post
        if post is None or not wanted:
            raise NoSuchMail("say the Message-ID of a mail, on the machine of a user")
        sent = await post.tracing(self._nodes, self._node.blocks).sent(
            lambda outgoing: _is_meant(outgoing, wanted)
        )
        received = await self._received(_bare(wanted))
        if not sent and not received:
            raise NoSuchMail(f"no mail {wanted} was sent or received here")
        return {
            "message_id": wanted,
            "sent": [_message(message) for message in sent],
            "received": received,
        }

    async def _received(self, message_id: str) -> list[dict[str, Any]]:
        """Return where a mail lies, and where it came from."""
        places = [place async for place in self._places(message_id)]
        if not places:
            return []
        origins = await self._origins({email for _, email in places})
        return [
            {"folder": folder, **origins[email]} for folder, email in places if email in origins
        ]

    async def _places(self, message_id: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (folder, email id) of the mails with a Message-ID."""
        mail = self._node.mail
        if mail is None:
            return
        match = TextMatch(TextPlace.HEADER, message_id, field="message-id")
        for info in await mail.mailbox.folders():
            folder = await mail.mailbox.open(info.name)
            found = sorted(await folder.matching(match, list(folder.uids())))
            for row in await folder.rows(found):
                yield info.name, bytes.fromhex(row.email_id)

    async def _origins(self, emails: set[bytes]) -> dict[bytes, dict[str, Any]]:
        """Return, of those that others sent: who, by her signature, and when it was accepted."""
        assert self._node.post is not None
        origins = _Origins(emails, self._node.issuers.trust)
        tracing = self._node.post.tracing(self._nodes, self._node.blocks)
        async for device, entry in tracing.entries(AppId.MAIL, AppId.POST):
            with suppress(PeerError):  # of a later version
                if entry.app == AppId.MAIL:
                    origins.on_mail_record(device, decode_record(entry.payload))
                else:
                    origins.on_post_record(POST_RECORD.decode(entry.payload))
        return origins.found


class _Origins:
    """What the records of all devices say of the arrival of some mails."""

    def __init__(self, emails: set[bytes], trust: OrganisationTrust) -> None:
        self._awaited = set(emails)
        self._trust = trust
        self._by_notice: dict[tuple[bytes, bytes], dict[str, Any]] = {}
        self.found: dict[bytes, dict[str, Any]] = {}

    def on_mail_record(self, device: int, record: Record) -> None:
        """Take an insertion; raises AuthenticityError for what cannot have been accepted."""
        if not isinstance(record, Insert) or record.email not in self._awaited:
            return
        if isinstance(record.content, Noticed):
            self._awaited.discard(record.email)
            self.found[record.email] = self._origin(device, record.content.signed)

    def on_post_record(self, record: PostRecord) -> None:
        """Take when a notice was accepted."""
        if isinstance(record, Received):
            known = self._by_notice.get((record.from_account, record.notice_id))
            if known is not None:
                known["accepted_ms"] = known["accepted_ms"] or record.at

    def _origin(self, device: int, signed: bytes) -> dict[str, Any]:
        outer = decode_signed_notice(signed)
        # It was in force when the notice was accepted; it may have ended since.
        claimed = ACCOUNT_CERT.decode(parse(outer.account_certificate, Kind.ACCOUNT).body)
        account = self._trust.verify_account(outer.account_certificate, claimed.not_before)
        sender = open_device_certificate(outer.device_certificate, account)
        notice = verify_notice(outer, sender.device_key)
        said = {
            "from": account.name,
            "from_device": sender.number,
            "sent_ms": notice.sent_at,
            "accepted_by": device,
            "accepted_ms": None,
            "notice_id": notice.id.hex(),
        }
        self._by_notice[notice.from_account, notice.id] = said
        return said


def _is_meant(outgoing: Outgoing, wanted: str) -> bool:
    if outgoing.message_key.hex() == wanted.lower():
        return True
    if outgoing.app != AppId.MAIL:
        return False
    for notice in outgoing.notices[:1]:  # all recipients of a mail get one content
        with suppress(PeerError):
            return _bare(read_notice(outgoing.contents[notice.content]).message_id) == _bare(wanted)
    return False


def _bare(message_id: str) -> str:
    return message_id.strip().removeprefix("<").removesuffix(">")


def _message(message: TracedMessage) -> dict[str, Any]:
    return {
        "id": message.message_key.hex(),
        "from_device": message.device,
        "sent_ms": message.sent_at_ms,
        "expires_ms": message.expires_at_ms,
        "recipients": [
            {
                "name": recipient.name,
                "state": max(s.state for s in recipient.states).name.lower(),
                "states": [_reached(state) for state in recipient.states],
            }
            for recipient in message.recipients
        ],
    }


def _reached(reached: Reached) -> dict[str, Any]:
    return {
        "state": reached.state.name.lower(),
        "at_ms": reached.at_ms or None,
        "signed_by": [_signature(signature) for signature in reached.signatures],
        "remark": reached.remark,
    }


def _signature(signature: Signature) -> dict[str, Any]:
    if signature.node_id:
        return {"node_id": signature.node_id.hex(), "at_ms": signature.at_ms}
    by = {"account": signature.account, "device": signature.device}
    return {**by, "at_ms": signature.at_ms}
