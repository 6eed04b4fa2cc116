"""What the administrator has decided about the organisation; kept in the authority's register.

As JSON by name, so that later versions may add rules: what is missing has its default.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.daemon.authority.register import Register
from epost.foundation.errors import ConfigError, RefusedError
from epost.rings.policy import DEFAULT_LIFETIMES, Lifetimes

SETTING = "rules"
DAYS_MAX = 400
"""Certificates of a year and a month: a machine that is on once a year stays a member."""
FORMER_NAME_DAYS_MIN = 183
"""What was sent under a former name may be under way for half a year (crypto 7.1)."""

MEBIBYTES_MAX = (1 << 32) - 1

Days = Annotated[int, msgspec.Meta(ge=1, le=DAYS_MAX)]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Lifetimes in days. A node's certificate warns from its soft end on and ends at `node_days`.

    `must_run_node`: an account is renewed only through a machine of its own that is in the ring
    (paper section 3); without it the authority renews the accounts of its members by itself.
    """

    account_days: Days = DEFAULT_LIFETIMES.account_days
    node_soft_days: Days = DEFAULT_LIFETIMES.node_soft_days
    node_days: Days = DEFAULT_LIFETIMES.node_days
    lease_days: Days = DEFAULT_LIFETIMES.lease_days
    must_run_node: bool = False
    former_name_days: Days = DAYS_MAX
    """How long a member who was given another name keeps the former one as well."""
    quota_mib: Annotated[int, msgspec.Meta(ge=0, le=MEBIBYTES_MAX)] = 0
    """What a member may store who has no quota of her own; 0 is no limit."""

    def as_dict(self) -> dict[str, int | bool]:
        """Return it for JSON."""
        return msgspec.structs.asdict(self)

    @property
    def lifetimes(self) -> Lifetimes:
        """What the policy tells the members."""
        return Lifetimes(
            account_days=self.account_days,
            node_soft_days=self.node_soft_days,
            node_days=self.node_days,
            lease_days=self.lease_days,
        )


def read_rules(register: Register) -> Rules:
    """Return the rules in force; raises ConfigError if they cannot be read."""
    data = register.setting(SETTING)
    if data is None:
        return Rules()
    try:
        return msgspec.json.decode(data, type=Rules)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the authority's rules are damaged: {error}") from error


def changed_rules(rules: Rules, changes: dict[str, int | bool]) -> Rules:
    """Return the rules with some changed; raises RefusedError for what makes no sense."""
    try:
        changed = msgspec.convert({**msgspec.structs.asdict(rules), **changes}, Rules)
    except msgspec.ValidationError as error:
        raise RefusedError(f"lifetimes are 1 to {DAYS_MAX} days: {error}") from error
    if changed.former_name_days < FORMER_NAME_DAYS_MIN:
        raise RefusedError(
            f"a former name is kept for {FORMER_NAME_DAYS_MIN} days at least: mail that bears it "
            "may be under way for so long"
        )
    if changed.node_soft_days > changed.node_days:
        raise RefusedError("a machine's certificate cannot warn after it has ended")
    return changed


def write_rules(register: Register, rules: Rules) -> None:
    """Keep the rules; they are in force with the next issuer block."""
    register.put_setting(SETTING, msgspec.json.encode(rules))
