"""What becomes of members: removed, held while they are away, or followed by a successor.

The authority cannot read anybody's mail. What it decides about a member is who may take part, for
whom a name stands, and whether what she stored is kept while nobody renews its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from epost.crypto.certificates import certificate_hash, recall_account
from epost.crypto.names import canonical
from epost.daemon.authority.certifying import Certifier
from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import AccountRow, NodeRow, Standing, State
from epost.daemon.authority.word import Word
from epost.daemon.authority.world import World
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import RefusedError
from epost.rings.policy import Reason

ID_PREFIX_DIGITS_MIN = 8
NAME_KEPT_MS = 400 * DAY_MS
"""How long nobody else gets a removed member's name: until no certificate of hers can be in force
and no notice to her can be on its way (182 days)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a member; times are milliseconds since 1970."""

    node_id: str
    enrolled_ms: int
    until_ms: int
    seen_ms: int | None
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """A name and who stands behind it."""

    name: str
    state: str
    since_ms: int | None
    until_ms: int
    successor: str | None
    seen_ms: int | None
    machines: tuple[Machine, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


_ALREADY = {State.HELD: "held already", State.MEMBER: "not held"}


class Members:
    """Reads and changes the standing of members; each change is one transaction."""

    def __init__(self, register: Register, certifier: Certifier, word: Word, world: World) -> None:
        self._register = register
        self._certifier = certifier
        self._word = word
        self._world = world

    def all(self) -> list[Member]:
        """Return all members that there ever were, by name."""
        standings, seen = self._register.standings(), self._register.seen()
        machines: dict[bytes, list[NodeRow]] = {}
        for node in self._register.nodes():
            machines.setdefault(node.member_tag, []).append(node)
        names = set(self._register.names_by_member().values())
        return [
            self._member(
                account,
                standings.get(account.name),
                machines.get(account.member_tag, []) if account.name in names else [],
                seen,
            )
            for account in self._register.accounts()
        ]

    def _member(
        self,
        account: AccountRow,
        standing: Standing | None,
        nodes: list[NodeRow],
        seen: dict[bytes, int],
    ) -> Member:
        certificate = recall_account(account.certificate)
        machines = [
            Machine(n.node_id.hex(), n.issued_at, n.not_after, seen.get(n.node_id), n.revoked_at)
            for n in sorted(nodes, key=lambda n: n.issued_at)
        ]
        return Member(
            name=account.name,
            state=(standing.state if standing else State.MEMBER).name.lower(),
            since_ms=standing.since if standing else None,
            until_ms=certificate.not_after,
            successor=standing.successor if standing else None,
            seen_ms=max((m.seen_ms for m in machines if m.seen_ms), default=None),
            machines=tuple(machines),
        )

    def nodes(self) -> Sequence[tuple[NodeRow, str]]:
        """Return every node ever certified with its user's name (empty: a storage machine)."""
        names = self._register.names_by_member()
        return [(node, names.get(node.member_tag, "")) for node in self._register.nodes()]

    def find_node(self, name_or_id: str) -> bytes:
        """Return the id of the one node in force that is meant; raises RefusedError.

        `name_or_id` is the name of a user, or the first 8 hex digits of a node id or more.
        """
        wanted = name_or_id.lower()
        is_prefix = len(wanted) >= ID_PREFIX_DIGITS_MIN
        found = [
            node.node_id
            for node, name in self.nodes()
            if node.is_in_force
            and (name == wanted or (is_prefix and node.node_id.hex().startswith(wanted)))
        ]
        if len(found) != 1:
            how_many = "more than one node" if found else "no node"
            raise RefusedError(f"{how_many} in force is {name_or_id}; see epost org nodes")
        return found[0]

    def require_member(self, name: str) -> AccountRow:
        """Return the account of a member in force, held or not; raises RefusedError."""
        name = canonical(name)
        account = self._register.account(name)
        if account is None:
            raise RefusedError(f"{name} has no account here")
        self._require_present(name)
        if self._is_gone(name):
            raise RefusedError(f"{name} was removed from the organisation")
        return account

    def require_free(self, name: str) -> None:
        """Raise RefusedError if somebody has the name, or had it lately."""
        if not self._register.has_account(name):
            return
        self._require_present(name)
        standing = self._register.standing(name)
        if standing is None or standing.state is not State.REMOVED:
            raise RefusedError(f"{name} has an account already")
        days = (standing.since + NAME_KEPT_MS - self._world.clock.wall_ms()) // DAY_MS
        if days >= 0:
            raise RefusedError(
                f"{name} was removed lately: the name is given to nobody else for {days + 1} "
                "more days"
            )

    def remove(self, name: str) -> int:
        """Take a member out for good; return how many machines were hers.

        Names that were transferred to her, and those that she had before, end with her. Raises
        RefusedError.
        """
        with self._register.transaction():
            machines = self._remove(self.require_member(name))
            self._word.publish()
        return machines

    def transfer(self, name: str, successor: str) -> None:
        """Let a member's name stand for another member from now on; the first one is removed.

        Mail to the name is sealed to the successor; what came before stays closed. Raises
        RefusedError.
        """
        with self._register.transaction():
            heir = self.require_member(successor)
            name = canonical(name)
            if heir.name == name:
                raise RefusedError("nobody succeeds herself")
            account = self._register.account(name)
            if account is None:
                raise RefusedError(f"{name} has no account here")
            self._require_present(name)
            if not self._is_gone(name):
                self._remove(account)
            now = self._world.clock.wall_ms()
            self._supersede(account)
            self._certifier.hand_over(account, heir, now)
            self._register.put_standing(Standing(name, State.TRANSFERRED, now, heir.name))
            self._word.publish()

    def hold(self, name: str) -> None:
        """Keep everything of a member who is away: leases of hers do not end, her account neither.

        Mail to her is accepted as before. Raises RefusedError.
        """
        self._change(name, State.HELD)

    def release(self, name: str) -> None:
        """End a hold; raises RefusedError."""
        self._change(name, State.MEMBER)

    def _change(self, name: str, state: State) -> None:
        with self._register.transaction():
            account = self.require_member(name)
            standing = self._register.standing(account.name)
            if (standing.state if standing else State.MEMBER) is state:
                raise RefusedError(f"{account.name} is {_ALREADY[state]}")
            now = self._world.clock.wall_ms()
            self._register.put_standing(Standing(account.name, state, now, None))
            self._word.publish()

    def _remove(self, account: AccountRow) -> int:
        now = self._world.clock.wall_ms()
        hers = self._register.nodes_in_force(account.member_tag)
        for node in hers:
            self._register.revoke_node(node.node_id, now, Reason.REMOVED)
        self._certifier.secrets.demand_next(now)
        self.end_name(account, now)
        for state in (State.TRANSFERRED, State.FORMER):
            for name in self._register.names_with(state, account.name):
                further = self._register.account(name)
                assert further is not None, "a standing is of an account"
                self.end_name(further, now)
        return len(hers)

    def end_name(self, account: AccountRow, now: int) -> None:
        """Let a name stand for nobody any more; to be called inside a transaction."""
        self._supersede(account)
        standing = self._register.standing(account.name)
        if standing is not None and standing.state is State.FORMER:
            self._register.detach(account.name)
        self._register.put_standing(Standing(account.name, State.REMOVED, now, None))

    def _supersede(self, account: AccountRow) -> None:
        present = recall_account(account.certificate)
        self._register.supersede(
            certificate_hash(account.certificate), account.name, present.not_after
        )

    def gone(self) -> Sequence[str]:
        """Return the names of those who are out, for as long as a certificate may be in force."""
        now = self._world.clock.wall_ms()
        return [
            standing.name
            for standing in self._register.standings().values()
            if standing.is_gone and now < standing.since + NAME_KEPT_MS
        ]

    def end_in_ring(self, data: bytes) -> None:
        """Revoke what the ring shows of somebody who is out, if a deputy gave it to her before.

        Raises AuthenticityError, PeerError for what no issuer signed.
        """
        shown = self._certifier.verified_account(data)
        account = self._register.account(shown.name)
        if account is None or not self._is_gone(shown.name):
            return
        present = recall_account(account.certificate)
        is_of_heir = self._register.standings()[shown.name].state is State.TRANSFERRED
        if data == account.certificate or (is_of_heir and shown.account_id == present.account_id):
            return
        with self._register.transaction():
            self._register.supersede(certificate_hash(data), shown.name, shown.not_after)
            self._word.publish()

    def _require_present(self, name: str) -> None:
        """Raise RefusedError for a name that its member had before."""
        standing = self._register.standing(name)
        if standing is not None and standing.state is State.FORMER:
            raise RefusedError(
                f"{name} is the former name of {standing.successor}, and is kept for her"
            )

    def _is_gone(self, name: str) -> bool:
        standing = self._register.standing(name)
        return standing is not None and standing.is_gone
