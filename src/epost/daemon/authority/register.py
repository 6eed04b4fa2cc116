"""The authority's register: invites, accounts, nodes, revocations; one SQLite file.

Every answer to an enrolment is written here, bound to the request, before it is sent: a repeated
request gets the same answer, a different one under the same token is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from epost.daemon.authority.register_rows import (
    AccountRow,
    InviteRow,
    NodeRow,
    Standing,
    State,
    Superseded,
)
from epost.daemon.authority.register_schema import SCHEMA, SCHEMA_VERSION, UPGRADES
from epost.foundation.errors import ConfigError

REGISTER_FILE = "register.db"
BUSY_TIMEOUT_MS = 5000


class Register:
    """Reads and writes the register; several processes may do so in turn."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; raises ConfigError if it is something else."""
        try:
            self._database = apsw.Connection(str(path))
            self._database.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
            (version,) = next(self._database.execute("PRAGMA user_version"))
            if version > SCHEMA_VERSION:
                raise ConfigError(f"{path}: written by a later version of ePOST ({version})")
            with self._database:
                self._upgrade()
        except apsw.Error as error:
            raise ConfigError(f"{path}: not a register of an authority: {error}") from error

    def _upgrade(self) -> None:
        (version,) = next(self._database.execute("PRAGMA user_version"))
        if version == 0:
            self._database.execute(SCHEMA)
        for earlier in range(max(1, version), SCHEMA_VERSION):
            self._database.execute(UPGRADES[earlier])
        if version != SCHEMA_VERSION:
            self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of what is inside or nothing; durable at its end."""
        with self._database:
            yield

    def add_invite(
        self, token_hash: bytes, name: str | None, expires_at: int, *, is_device: bool
    ) -> None:
        """Remember an invitation (never the token itself)."""
        self._database.execute(
            "INSERT INTO invite (token_hash, name, is_device, expires_at) VALUES (?, ?, ?, ?)",
            (token_hash, name, is_device, expires_at),
        )

    def invite(self, token_hash: bytes) -> InviteRow | None:
        """Return an invitation by the hash of its token."""
        rows = self._database.execute(
            "SELECT token_hash, name, is_device, expires_at, request_hash, answer FROM invite "
            "WHERE token_hash = ?",
            (token_hash,),
        )
        for token, invited, is_device, expires_at, request, answer in rows:
            return InviteRow(token, invited, bool(is_device), expires_at, request, answer)
        return None

    def use_invite(self, token_hash: bytes, request_hash: bytes, answer: bytes, at: int) -> None:
        """Burn an invitation, bound to the request that used it."""
        self._database.execute(
            "UPDATE invite SET request_hash = ?, answer = ?, used_at = ? WHERE token_hash = ?",
            (request_hash, answer, at, token_hash),
        )

    def accounts(self) -> Sequence[AccountRow]:
        """Return all accounts by name."""
        rows = self._database.execute(
            "SELECT name, account_id, certificate, member_tag FROM account ORDER BY name"
        )
        return [AccountRow(*row) for row in rows]

    def account_of_member(self, member_tag: bytes) -> AccountRow | None:
        """Return the account of which a machine is, by the tag in its certificate."""
        rows = self._database.execute(
            "SELECT name, account_id, certificate, member_tag FROM account "
            "WHERE member_tag = ? AND name NOT IN (SELECT name FROM standing WHERE state = ?)",
            (member_tag, int(State.FORMER)),
        )
        row = next(rows, None)
        return None if row is None else AccountRow(*row)

    def renew_account(self, name: str, certificate: bytes) -> None:
        """Keep an account's renewed certificate in place of its last."""
        self._database.execute(
            "UPDATE account SET certificate = ? WHERE name = ?", (certificate, name)
        )

    def add_name(self, name: str, account: AccountRow, certificate: bytes) -> None:
        """Enter one more name of an account, in place of whoever had it before."""
        self._database.execute(
            "REPLACE INTO account VALUES (?, ?, ?, ?)",
            (name, account.account_id, certificate, account.member_tag),
        )

    def detach(self, name: str) -> None:
        """Let a former name have no machines any more: those are under its member's present one."""
        self._database.execute("UPDATE account SET member_tag = x'' WHERE name = ?", (name,))

    def supersede(self, certificate_hash: bytes, name: str, not_after: int) -> None:
        """Remember a certificate of an account that is not to be its newest any more."""
        self._database.execute(
            "REPLACE INTO superseded VALUES (?, ?, ?)", (certificate_hash, name, not_after)
        )

    def superseded(self, now: int) -> Sequence[Superseded]:
        """Return the former certificates of accounts that may still be in force."""
        rows = self._database.execute(
            "SELECT hash, name FROM superseded WHERE not_after > ? ORDER BY hash", (now,)
        )
        return [Superseded(bytes(certificate), str(name)) for certificate, name in rows]

    def succeed_key(self, key_hash: bytes, since: int, until: int) -> None:
        """Remember, as long as a certificate may name it, an account key that another followed."""
        entry = key_hash, since, until
        self._database.execute("REPLACE INTO succeeded_key VALUES (?, ?, ?)", entry)

    def succeeded_keys(self, now: int) -> Sequence[tuple[bytes, int]]:
        """Return the hashes of such keys, and since when each is none any more."""
        query = "SELECT hash, since FROM succeeded_key WHERE until > ? ORDER BY hash"
        rows = self._database.execute(query, (now,))
        return [(bytes(key_hash), int(since)) for key_hash, since in rows]

    def names_with(self, state: State, successor: str) -> Sequence[str]:
        """Return the names of which somebody is the successor in this way, the oldest first."""
        rows = self._database.execute(
            "SELECT name FROM standing WHERE state = ? AND successor = ? ORDER BY since, name",
            (int(state), successor),
        )
        return [str(name) for (name,) in rows]

    def succeed(self, successor: str, by: str) -> None:
        """Have another name stand wherever one is named as a successor."""
        self._database.execute(
            "UPDATE standing SET successor = ? WHERE successor = ?", (by, successor)
        )

    def put_standing(self, standing: Standing) -> None:
        """Keep what was decided about a name."""
        self._database.execute(
            "REPLACE INTO standing VALUES (?, ?, ?, ?)",
            (standing.name, int(standing.state), standing.since, standing.successor),
        )

    def forget_standing(self, name: str) -> None:
        """Begin anew with a name: somebody else has it."""
        self._database.execute("DELETE FROM standing WHERE name = ?", (name,))
        self._database.execute("DELETE FROM superseded WHERE name = ?", (name,))

    def end_standing(self, name: str) -> None:
        """Let a name be that of a member in force."""
        self._database.execute("DELETE FROM standing WHERE name = ?", (name,))

    def standing(self, name: str) -> Standing | None:
        """Return what was decided about a name."""
        rows = self._database.execute(
            "SELECT name, state, since, successor FROM standing WHERE name = ?", (name,)
        )
        return next(map(_standing, rows), None)

    def standings(self) -> dict[str, Standing]:
        """Return what was decided about names; members without an entry are in force."""
        rows = self._database.execute("SELECT name, state, since, successor FROM standing")
        return {standing.name: standing for standing in map(_standing, rows)}

    def names_by_member(self) -> dict[bytes, str]:
        """Return the name of each member by the tag in her nodes' certificates."""
        rows = self._database.execute(
            "SELECT member_tag, name FROM account "
            "WHERE name NOT IN (SELECT name FROM standing WHERE state = ?)",
            (int(State.FORMER),),
        )
        return {bytes(tag): str(name) for tag, name in rows}

    def has_account(self, name: str) -> bool:
        """Is there an account of this name?"""
        rows = self._database.execute("SELECT 1 FROM account WHERE name = ?", (name,))
        return next(rows, None) is not None

    def account(self, name: str) -> AccountRow | None:
        """Return the account of a name."""
        rows = self._database.execute(
            "SELECT name, account_id, certificate, member_tag FROM account WHERE name = ?", (name,)
        )
        row = next(rows, None)
        return None if row is None else AccountRow(*row)

    def add_account(
        self, name: str, account_id: bytes, certificate: bytes, member_tag: bytes
    ) -> None:
        """Enter a new account, in place of a former one of this name."""
        self._database.execute(
            "REPLACE INTO account VALUES (?, ?, ?, ?)", (name, account_id, certificate, member_tag)
        )

    def nodes(self) -> Sequence[NodeRow]:
        """Return every node ever certified, by serial."""
        rows = self._database.execute(
            "SELECT serial, node_id, node_key, member_tag, site, roles, certificate, not_after, "
            "issued_at, revoked_at, reason FROM node ORDER BY serial"
        )
        return [NodeRow(*row) for row in rows]

    def nodes_in_force(self, member_tag: bytes) -> Sequence[NodeRow]:
        """Return those nodes of a member that were not revoked, by serial."""
        return [n for n in self.nodes() if n.member_tag == member_tag and n.is_in_force]

    def node(self, node_id: bytes) -> NodeRow | None:
        """Return the node with an id."""
        rows = self._database.execute(
            "SELECT serial, node_id, node_key, member_tag, site, roles, certificate, not_after, "
            "issued_at, revoked_at, reason FROM node WHERE node_id = ?",
            (node_id,),
        )
        row = next(rows, None)
        return None if row is None else NodeRow(*row)

    def renew_node(self, node_id: bytes, certificate: bytes, not_after: int) -> None:
        """Keep a node's renewed certificate, of the same serial, in place of its last."""
        self._database.execute(
            "UPDATE node SET certificate = ?, not_after = ? WHERE node_id = ?",
            (certificate, not_after, node_id),
        )

    def note_seen(self, node_ids: Sequence[bytes], at: int) -> None:
        """Note that these nodes were in the ring."""
        self._database.executemany(
            "REPLACE INTO seen VALUES (?, ?)", [(node_id, at) for node_id in node_ids]
        )

    def seen(self) -> dict[bytes, int]:
        """Return when each node was last known to be in the ring, in ms since 1970."""
        rows = self._database.execute("SELECT node_id, at FROM seen")
        return {bytes(node_id): int(at) for node_id, at in rows}

    def setting(self, name: str) -> bytes | None:
        """Return a setting of the organisation."""
        rows = self._database.execute("SELECT value FROM setting WHERE name = ?", (name,))
        row = next(rows, None)
        return None if row is None else bytes(row[0])

    def put_setting(self, name: str, value: bytes) -> None:
        """Keep a setting of the organisation."""
        self._database.execute("REPLACE INTO setting VALUES (?, ?)", (name, value))

    def add_node(self, node: NodeRow) -> None:
        """Enter a newly certified node."""
        self._database.execute(
            "INSERT INTO node VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                node.serial, node.node_id, node.node_key, node.member_tag, node.site, node.roles,
                node.certificate, node.not_after, node.issued_at, node.revoked_at, node.reason,
            ),
        )  # fmt: skip

    def revoke_node(self, node_id: bytes, at: int, reason: int) -> bool:
        """Mark a node revoked; False if there is no such node in force."""
        self._database.execute(
            "UPDATE node SET revoked_at = ?, reason = ? WHERE node_id = ? AND revoked_at IS NULL",
            (at, reason, node_id),
        )
        return self._database.changes() > 0

    def block(self, purpose: str) -> bytes | None:
        """Return the newest block that the authority signed for a purpose."""
        rows = self._database.execute("SELECT data FROM block WHERE purpose = ?", (purpose,))
        row = next(rows, None)
        return None if row is None else bytes(row[0])

    def blocks(self, purpose: str) -> Sequence[bytes]:
        """Return the newest blocks of all purposes that begin with this word."""
        rows = self._database.execute(
            "SELECT data FROM block WHERE purpose LIKE ? ORDER BY purpose", (purpose + " %",)
        )
        return [bytes(data) for (data,) in rows]

    def put_block(self, purpose: str, data: bytes) -> None:
        """Keep the newest block of a purpose: its version must never go back."""
        self._database.execute("REPLACE INTO block VALUES (?, ?)", (purpose, data))

    def add_certified(self, sequence: int, record: bytes) -> None:
        """Append a record to the certified log."""
        self._database.execute("INSERT INTO certified VALUES (?, ?)", (sequence, record))

    def certified(self, first: int, *, limit: int) -> Sequence[bytes]:
        """Return up to `limit` records of the certified log from a sequence on."""
        rows = self._database.execute(
            "SELECT record FROM certified WHERE sequence >= ? ORDER BY sequence LIMIT ?",
            (first, limit),
        )
        return [bytes(record) for (record,) in rows]

    def newest_certified(self) -> tuple[int, bytes] | None:
        """Return the newest record of the certified log and its sequence."""
        rows = self._database.execute(
            "SELECT sequence, record FROM certified ORDER BY sequence DESC LIMIT 1"
        )
        row = next(rows, None)
        return None if row is None else (int(row[0]), bytes(row[1]))


def _standing(row: tuple[Any, ...]) -> Standing:
    name, state, since, successor = row
    return Standing(name, State(state), since, successor)
