"""What those who run an organisation are shown about its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from epost.cli.views import console
from epost.cli.wording import day

WORDS = {
    "member": "member",
    "held": "[yellow]held[/]",
    "removed": "[red]removed[/]",
    "transferred": "[red]transferred[/]",
    "former": "former name",
}
TOLD = "The daemon of this machine tells the others within a minute; if it does not run, start it."


def show_members(members: Sequence[Mapping[str, Any]]) -> None:
    """Show who there is, one line a member."""
    table = Table(
        "name", "machines", "", "since", "certified until", "last seen", title="Members",
        title_justify="left",
    )  # fmt: skip
    table.columns[0].overflow = "fold"  # a name cut short is no name
    for member in members:
        in_force = [m for m in member["machines"] if m["revoked_ms"] is None]
        state = WORDS[member["state"]]
        if member["successor"]:
            state += f" {'of' if member['state'] == 'former' else 'to'} {member['successor']}"
        table.add_row(
            member["name"],
            ", ".join(m["node_id"][:8] for m in in_force) or "none",
            state,
            _day_or(member["since_ms"], ""),
            day(member["until_ms"]),
            _day_or(member["seen_ms"], "not yet"),
        )
    console.print(table)


def show_removed(name: str, machines: int) -> None:
    """Say what happens after a removal."""
    console.print(f"{name} is removed, with {machines} machine(s). {TOLD}")
    console.print(
        "Mail to the name is refused from now on. To let another member have it: "
        f"epost org transfer {name} SUCCESSOR"
    )


def show_held(name: str, *, is_held: bool) -> None:
    """Say what a hold does, or its end."""
    if is_held:
        console.print(f"Everything of {name} is kept until: epost org hold --release {name}")
    else:
        console.print(f"{name} is no longer held; her machines renew what she has from now on.")
    console.print(TOLD)


def show_transferred(name: str, successor: str) -> None:
    """Say who has a name now."""
    console.print(f"Mail to {name} goes to {successor} from now on. {TOLD}")


def show_renamed(renamed: Mapping[str, Any]) -> None:
    """Say what comes of a change of name."""
    name, former = renamed["name"], renamed["former"]
    console.print(f"{former} is {name} from now on. {TOLD}")
    console.print(
        f"Her machines go on under the new name within two minutes after that, or when they are "
        f"back. {former} is hers as well until {day(renamed['former_until_ms'])}: mail to it "
        "arrives, and whoever sends some is told the new name."
    )


def show_rolled_over(fingerprint: str, former: str) -> None:
    """Say what is to be done after the root key was replaced."""
    console.print(f"The organisation has a new root key; its fingerprint is {fingerprint}. {TOLD}")
    console.print(
        f"Make a backup now (epost backup). The former key is kept as {former}: erase it once all "
        "machines have been on; those that were away follow the new key when they are back."
    )


def show_secret_rotated(epoch: int) -> None:
    """Say what happens after a new secret was put in force."""
    console.print(
        f"The organisation's secret is in its epoch {epoch}. {TOLD} They fetch it within a minute "
        "after that; a machine that is off fetches it when it is back."
    )


def _day_or(milliseconds: int | None, otherwise: str) -> str:
    return otherwise if milliseconds is None else day(milliseconds)
