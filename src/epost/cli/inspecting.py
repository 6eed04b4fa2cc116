"""`epost verify` and `epost repair`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from epost.cli.options import AsJson, DataDir, ask_daemon, print_json
from epost.cli.views import console

LOOK_SECONDS = 0.25
EXIT_WHOLE = 0
EXIT_LACKING = 1
"""Something lacks, or could not be looked at."""

EveryCopy = Annotated[
    bool,
    typer.Option(
        "--every-copy",
        help="Read every copy: finds rotten ones, and machines that lie; takes several times.",
    ),
]


def verify(data_dir: DataDir, every_copy: EveryCopy = False, as_json: AsJson = False) -> None:
    """Look whether everything of your account is there, proves itself, and has all its copies.

    And whether the newest snapshot of this machine's log says what the log says.

    Exit code 0 if so, 1 if something lacks.
    """
    _inspect(data_dir, repair=False, every_copy=every_copy, as_json=as_json)


def repair(data_dir: DataDir, every_copy: EveryCopy = False, as_json: AsJson = False) -> None:
    """Do what verify does, and put what has too few copies on other machines again.

    A snapshot of the log that is wrong is made anew.

    Exit code 0 if everything is whole in the end, 1 if something could not be repaired.
    """
    _inspect(data_dir, repair=True, every_copy=every_copy, as_json=as_json)


def _inspect(data_dir: Path, *, repair: bool, every_copy: bool, as_json: bool) -> None:
    report = ask_daemon(data_dir, "inspect", repair=repair, every_copy=every_copy)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=as_json, transient=True) as bar:
        task = bar.add_task("Looking what there is", total=None)
        while not report["finished"]:
            if not report["counting"]:
                bar.update(task, description="Checking blocks", total=report["total"])
            bar.update(task, completed=report["checked"])
            time.sleep(LOOK_SECONDS)
            report = ask_daemon(data_dir, "inspect-progress")
    if as_json:
        print_json(report)
    else:
        _show(report, repair=repair)
    is_whole = not report["lacking"] and not report["failure"]
    sys.exit(EXIT_WHOLE if is_whole else EXIT_LACKING)


def _show(report: Mapping[str, Any], *, repair: bool) -> None:
    if report["findings"]:
        table = Table("what", "block", "problem", "copies", "")
        for row in report["findings"]:
            end = "repaired" if row["repaired"] else _why(row)
            name = f"{row['kind']} {row['handle'][:16]}…"
            table.add_row(row["of"], name, row["problem"], str(row["copies"]), end)
        console.print(table)
    console.print(
        f"{report['checked']:,} blocks looked at, {report['copies_wanted']} copies wanted of each: "
        f"{report['lacking']:,} with something wrong, {report['repaired']:,} repaired."
    )
    if report["failure"]:
        console.print(f"[red]It could not be finished: {report['failure']}[/]")
    elif report["lacking"] and not repair:
        console.print("Most of this heals by itself. To have it done now: epost repair.")
    elif any(row["without"] and not row["repaired"] for row in report["findings"]):
        console.print(
            "A machine that gives no good copy although it is there and was brought one is broken "
            "or lies: have the administrator look at it (epost org revoke-node)."
        )


def _why(row: Mapping[str, Any]) -> str:
    """Return what is known of a block that is not repaired."""
    without = ", ".join(node[:8] for node in row["without"])
    return "; ".join(part for part in (row["reason"], f"not at {without}" * bool(without)) if part)
