"""A restored authority first learns what it had done after the backup was made.

Else it would sign an issuer block of a number that the ring knows already, forget revocations, and
enter certificates in places of the certified log that are taken. The ring keeps all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from epost.crypto.certificates import certificate_hash
from epost.crypto.versioned import KeyBlock, open_key_block
from epost.daemon.authority.log_publication import LogPublication
from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import Standing, State
from epost.daemon.authority.word import ISSUER_BLOCK
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.past.log_format import Tip, follow, record_hash
from epost.rings.policy import ISSUER_CONTENT, REVOCATIONS_MAX, Reason, Revocation

RESTORED = "restored"
INHERITED = "inherited revocations"
INHERITED_KEPT_MS = 400 * DAY_MS
"""No certificate that an entry could be of is in force for longer."""

_Inherited = Annotated[tuple[Revocation, ...], msgspec.Meta(max_length=REVOCATIONS_MAX)]
INHERITED_LIST: Format[tuple[Revocation, ...]] = Format(_Inherited, size_max=1024 * 1024)


def mark_restored(path: Path) -> None:
    """Note in a register that it comes from a backup."""
    register = Register(path)
    try:
        with register.transaction():
            register.put_setting(RESTORED, b"1")
    finally:
        register.close()


class CatchingUp:
    """Takes over what the ring has and the register lacks; inside one transaction."""

    def __init__(self, register: Register, log: LogPublication) -> None:
        self._register = register
        self._log = log

    @property
    def is_needed(self) -> bool:
        """Was this register restored, and has not caught up yet?"""
        return bool(self._register.setting(RESTORED))

    def take(
        self, issuer_block: bytes | None, head: bytes | None, records: Sequence[bytes]
    ) -> None:
        """Go on behind the newest issuer block and the newest head that the ring has.

        `records` are those of the certified log behind the register's newest. Raises PeerError if
        they do not continue it: the backup is of another authority.
        """
        if issuer_block is not None:
            self._take_block(open_key_block(issuer_block))
        if head is not None:
            self._take_log(head, records)
        self._register.put_setting(RESTORED, b"")

    def _take_block(self, block: KeyBlock) -> None:
        held = self._register.block(ISSUER_BLOCK)
        if held is not None and open_key_block(held).body.version >= block.body.version:
            return
        self._register.put_block(ISSUER_BLOCK, block.data)
        listed = ISSUER_CONTENT.decode(block.body.content).revoked
        unknown = [r for r in listed if not self._take_revocation(r)]
        self._register.put_setting(INHERITED, encode(tuple(unknown)))

    def _take_revocation(self, revocation: Revocation) -> bool:
        """Enter what the list says of somebody known here; is that all there is to it?"""
        for node in self._register.nodes():
            if node.serial == revocation.certificate:
                self._register.revoke_node(node.node_id, revocation.at, revocation.reason)
                return True
        standings = self._register.standings()
        for account in self._register.accounts():
            if revocation.reason == Reason.HELD and account.member_tag == revocation.certificate:
                state = State.HELD
            elif certificate_hash(account.certificate) == revocation.certificate:
                state = State.REMOVED
            else:
                continue
            if account.name not in standings:
                self._register.put_standing(Standing(account.name, state, revocation.at, None))
            return state is State.HELD
        return False

    def _take_log(self, head: bytes, records: Sequence[bytes]) -> None:
        newest = self._register.newest_certified()
        if not records or newest is None:
            return
        sequence, record = newest
        log_key = open_key_block(head).body.public_key
        for tip, data in zip(
            follow(log_key, Tip(sequence, record_hash(record)), records), records, strict=True
        ):
            self._register.add_certified(tip.sequence, data)
        self._log.adopt(head)


def inherited(register: Register, now: int) -> Sequence[Revocation]:
    """Return entries of the list about certificates that this register never knew."""
    data = register.setting(INHERITED)
    entries = INHERITED_LIST.decode(data) if data else ()
    return [entry for entry in entries if now < entry.at + INHERITED_KEPT_MS]
