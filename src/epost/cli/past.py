"""`epost folder`: what a folder held at a time."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from epost.cli.options import AsJson, DataDir, ask_daemon, print_json, stop
from epost.cli.views import console, of_others
from epost.cli.wording import second


def folder(
    name: Annotated[str, typer.Argument(help="The folder: INBOX, Archive, Work/2026, ...")],
    data_dir: DataDir,
    at: Annotated[
        str, typer.Option("--at", help="2026-11-22T17:30, in local time unless it says; else now.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List what a folder of yours held at a time, by what all of your machines had logged then.

    To the minute: what was logged in that minute may be there already.
    """
    answer = ask_daemon(data_dir, "folder-at", folder=name, at_ms=_milliseconds(at))
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def _milliseconds(at: str) -> int:
    """Return a time of the past as ms since 1970."""
    now = datetime.datetime.now(datetime.UTC).timestamp()
    try:
        seconds = datetime.datetime.fromisoformat(at).timestamp() if at else now
    except (ValueError, OverflowError):  # the latter at the ends of the calendar
        stop(f"{at!r} is no time: write it as 2026-11-22T17:30 or 2026-11-22T17:30:00+01:00")
    if seconds > now:
        stop(f"{at} is still to come")
    return round(1000 * seconds)


def _show(answer: Mapping[str, Any]) -> None:
    table = Table("received", "from", "subject", "flags", "size")
    for mail in answer["mails"]:
        table.add_row(
            second(mail["received_ms"]),
            of_others(mail["from"]),
            of_others(mail["subject"] or mail["email_id"]),
            " ".join(mail["flags"]),
            f"{mail['size']:,}",
        )
    console.print(table)
    mails = "mail" if answer["messages"] == 1 else "mails"
    console.print(f"{answer['messages']:,} {mails} in {answer['folder']} then.")
    if answer["undated_records"]:
        console.print(
            f"{answer['undated_records']:,} records are of a former version and do not say when "
            "they were written: they are taken to be older."
        )
