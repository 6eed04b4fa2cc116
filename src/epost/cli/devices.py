"""The commands for the machines of one's own account."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import segno
import typer
from rich.table import Table

from epost.cli.options import (
    AsJson,
    DataDir,
    WordsFile,
    Yes,
    ask_first,
    print_json,
    print_line,
    read_words,
    say,
)
from epost.cli.views import console
from epost.cli.wording import minute

if TYPE_CHECKING:
    from epost.daemon.pairing.code import DeviceCode

device = typer.Typer(no_args_is_help=True, help="The machines of your account.")


@device.command("add")
def device_add(
    data_dir: DataDir,
    listen: Annotated[
        str, typer.Option(help="Where the new machine reaches this command: host:port.")
    ] = "",
    authority: Annotated[
        list[str] | None,
        typer.Option(help="Where the organisation enrols machines, if this folder does not say."),
    ] = None,
    words_file: WordsFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a code with which another machine becomes one of yours; the daemon must be running."""
    from epost.daemon.account.devices import Owner

    owner = Owner(data_dir, read_words(words_file))
    said = asyncio.run(
        owner.add_device(
            listen=listen,
            authority=authority or [],
            compare=compare_digits,
            show=_print_code if as_json else _show_code,
            say=say,
        )
    )
    if as_json:
        print_line(said)
    else:
        console.print("Done: the new machine is one of yours.", style="bold")
        _show_devices(said)


@device.command("list")
def device_list(data_dir: DataDir, as_json: AsJson = False) -> None:
    """List the machines of your account, and those that were revoked."""
    from epost.daemon.account.devices import ask_devices

    said = ask_devices(data_dir)
    if as_json:
        print_json(said)
    else:
        _show_devices(said)


@device.command("revoke")
def device_revoke(
    name: Annotated[str, typer.Argument(help="Its number, or the start of its node id.")],
    data_dir: DataDir,
    words_file: WordsFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a machine's part in your account, for good: it reads no new mail and signs nothing."""
    from epost.daemon.account.devices import Owner, ask_devices, is_this_machine

    is_this = is_this_machine(name, ask_devices(data_dir))
    owner = Owner(data_dir, read_words(words_file))
    which = "this machine, where you are," if is_this else f"machine {name}"
    ask_first(f"Revoke {which} for good?", yes=yes)
    said = asyncio.run(owner.revoke_device(name))
    if as_json:
        print_json(said)
        return
    _show_devices(said)
    console.print(
        "What the revoked machine writes from now on counts for nothing, and new mail is closed to "
        "it. Whoever runs the organisation should take it out of the ring too: epost org "
        "revoke-node."
    )


async def compare_digits(digits: str) -> bool:
    """Ask whether the other machine shows the same."""
    sys.stderr.write(f"\nThis machine shows  {digits}\n")
    question = "Does the other machine show the same digits?"
    return await asyncio.to_thread(typer.confirm, question, err=True)


def _print_code(code: DeviceCode) -> None:
    print_line({"code": str(code), "address": _address(code)})


def _show_code(code: DeviceCode) -> None:
    picture = io.StringIO()
    segno.make_qr(str(code), error="l").terminal(out=picture, border=2, compact=True)
    sys.stdout.write(picture.getvalue())
    console.print("On the new machine, within 10 minutes:\n", style="bold")
    console.print(f"  epost join {code}\n", soft_wrap=True)
    console.print("or, with less to type, and six digits to compare:\n")
    console.print(f"  epost join {_address(code)}\n", soft_wrap=True)
    console.print("The code works once. Whoever reads it in these minutes can use it.")


def _address(code: DeviceCode) -> str:
    from epost.daemon.config import format_address

    return format_address(code.address)


def _show_devices(said: Mapping[str, Any]) -> None:
    table = Table("no", "node", "at", "added", "last wrote", "", title_justify="left")
    table.title = f"Machines of {said['name']}"
    for row in said["devices"]:
        table.add_row(
            str(row["number"]),
            row["node_id"][:16] + "…" if row["node_id"] else "(not seen yet)",
            ", ".join(row["addresses"]),
            _time(row["added_ms"]),
            _time(row["wrote_ms"]),
            "this machine" if row["this"] else "",
        )
    for row in said["revoked"]:
        revoked = f"[red]revoked {_time(row['revoked_ms'])}[/]"
        table.add_row(str(row["number"]), "", "", "", "", revoked)
    console.print(table)


def _time(milliseconds: int | None) -> str:
    return "" if milliseconds is None else minute(milliseconds)
