"""A member is given another name: her keys under the new one, the old one kept for her meanwhile.

What binds them is signed twice by the issuer, who alone gives names: the new name's certificate has
the former ones as aliases, and a former name's has the new one as its first alias, and a flag. All
are of the same keys, so whoever is told of a change can verify it, and nobody can take mail by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from msgspec.structs import replace

from epost.crypto.certificates import ALIASES_MAX, AccountCert, AccountFlag, recall_account
from epost.crypto.names import canonical
from epost.daemon.authority.certifying import Certifier
from epost.daemon.authority.members import Members
from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import AccountRow, Standing, State
from epost.daemon.authority.rules import read_rules
from epost.daemon.authority.word import Word
from epost.daemon.authority.world import World
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Renamed:
    """A member's names: hers now, and those that she had, with the day until which each is hers."""

    name: str
    former: str
    former_until_ms: int
    aliases: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Renaming:
    """Changes names in the register; each change is one transaction."""

    def __init__(
        self,
        register: Register,
        certifier: Certifier,
        members: Members,
        word: Word,
        world: World,
    ) -> None:
        self._register = register
        self._certifier = certifier
        self._members = members
        self._word = word
        self._world = world

    def rename(self, name: str, new: str) -> Renamed:
        """Give a member another name; her account, keys, machines and mail stay as they are.

        Raises RefusedError for who is no member or held, and for a name that is not free.
        """
        new = canonical(new)
        with self._register.transaction():
            account = self._members.require_member(name)
            former = self._register.names_with(State.FORMER, account.name)
            self._require_possible(account, new, former)
            now = self._world.clock.wall_ms()
            kept = (account.name, *(n for n in reversed(former) if n != new))
            self._enter(account, new, now)
            self._certify(new, account, kept, now)
            self._tell()
        return Renamed(new, account.name, now + self._kept_ms(), kept)

    def end_due(self) -> None:
        """Let former names stand for nobody any more whose time is over."""
        now = self._world.clock.wall_ms()
        ended = [
            standing
            for standing in self._register.standings().values()
            if standing.state is State.FORMER and now >= standing.since + self._kept_ms()
        ]
        if not ended:
            return
        with self._register.transaction():
            for standing in ended:
                self._members.end_name(self._row(standing.name), now)
            for name in sorted({standing.successor or "" for standing in ended}):
                left = tuple(reversed(self._register.names_with(State.FORMER, name)))
                self._certify(name, self._row(name), left, now)
            self._tell()

    def _require_possible(self, account: AccountRow, new: str, former: Sequence[str]) -> None:
        domain = account.name.rpartition("@")[2]
        if not new.endswith("@" + domain):
            raise RefusedError(f"{new} is not a name of {domain}")
        if new == account.name:
            raise RefusedError(f"{new} is her name already")
        standing = self._register.standing(account.name)
        if standing is not None and standing.state is State.HELD:
            raise RefusedError(
                f"{account.name} is held: end that first (epost org hold --release {account.name})"
            )
        if new in former:
            return  # she has it back
        self._members.require_free(new)
        if len(former) >= ALIASES_MAX:
            raise RefusedError(f"{account.name} has {ALIASES_MAX} former names already")

    def _enter(self, account: AccountRow, new: str, now: int) -> None:
        """Let the new name be the member's, with the certificate of the old until it has its own,
        and the old one a former name."""
        if (before := self._register.account(new)) is None:
            self._register.add_name(new, account, account.certificate)
        elif before.account_id != account.account_id:
            # Of somebody who was removed so long ago that nothing of hers is in force.
            self._register.add_name(new, account, before.certificate)
        self._register.end_standing(new)
        self._register.succeed(account.name, by=new)
        self._register.put_standing(Standing(account.name, State.FORMER, now, new))

    def _certify(self, name: str, account: AccountRow, former: Sequence[str], now: int) -> None:
        """Certify the keys of `account` for a name, and for the names that its member had."""
        present = recall_account(account.certificate)
        flags = present.flags & ~AccountFlag.FORMER_NAME
        self._put(replace(present, name=name, aliases=tuple(former), flags=flags), now)
        flags |= AccountFlag.FORMER_NAME
        for old in former:
            others = (name, *(n for n in former if n != old))
            self._put(replace(present, name=old, aliases=others, flags=flags), now)

    def _put(self, wanted: AccountCert, now: int) -> None:
        before = recall_account(self._row(wanted.name).certificate)
        data = self._certifier.certify_name(wanted, before, now)
        self._certifier.replace_account(wanted, data)

    def _tell(self) -> None:
        """Have her machines ask for the certificate, and everybody hear of it."""
        self._certifier.quotas.count_change()
        self._word.publish()

    def _row(self, name: str) -> AccountRow:
        row = self._register.account(name)
        assert row is not None, "a standing is of an account"
        return row

    def _kept_ms(self) -> int:
        return read_rules(self._register).former_name_days * DAY_MS
