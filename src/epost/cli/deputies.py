"""The commands about who issues: `epost org deputy`, `appoint`, `dismiss`, `issuers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from epost.cli.member_views import TOLD
from epost.cli.options import (
    AsJson,
    AuthorityDir,
    DataDir,
    Yes,
    ask_first,
    open_authority,
    print_json,
    stop,
)
from epost.cli.views import console
from epost.cli.wording import day


def org_deputy(data_dir: DataDir, as_json: AsJson = False) -> None:
    """Make this machine one that may be appointed a deputy, and print what to show for that.

    A deputy renews the certificates of members and machines while the authority's own daemon is
    off. It lets nobody in and takes nobody out. Its keys never leave this machine.
    """
    from epost.daemon.authority.deputy import deputy_keys
    from epost.daemon.folder import NodeFolder
    from epost.daemon.world import SystemEntropy

    folder = NodeFolder(data_dir)
    if not folder.is_enrolled:
        stop(f"{data_dir} is no machine of an organisation: epost join INVITATION first")
    if folder.read_config().authority.directory:
        stop("this machine runs the authority itself: make another one its deputy")
    line = str(deputy_keys(folder.deputy, SystemEntropy()).appointment)
    if as_json:
        print_json({"line": line})
        return
    console.print("Have whoever runs the organisation appoint this machine, with root.key at hand:")
    console.print(f"epost org appoint {line}", soft_wrap=True)
    console.print("Then (re)start the daemon of this machine.")


def org_appoint(
    line: Annotated[str, typer.Argument(help="What epost org deputy printed: epost-deputy:...")],
    authority_dir: AuthorityDir,
    as_json: AsJson = False,
) -> None:
    """Make a machine a deputy of the authority. It needs root.key in the authority's folder.

    Have the line from the machine itself: whoever made it renews in the organisation's name.
    """
    with open_authority(authority_dir) as authority:
        number = authority.deputies.appoint(line)
    if as_json:
        print_json({"number": number})
    else:
        console.print(f"It is deputy number {number} now. {TOLD}")


def org_dismiss(
    number: Annotated[int, typer.Argument(help="The deputy's number: epost org issuers.")],
    authority_dir: AuthorityDir,
    distrust: Annotated[
        bool, typer.Option("--distrust", help="Its keys were stolen: nothing of it counts.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a deputy for good. It needs root.key in the authority's folder.

    What it renewed before goes on being valid, as far as its log was known within the last hour;
    with --distrust nothing of it, and machines that it renewed enrol anew by themselves.
    """
    with open_authority(authority_dir) as authority:
        ask_first(f"Dismiss deputy {number} for good?", yes=yes)
        counts_until = authority.deputies.dismiss(number, is_trusted=not distrust)
    if as_json:
        print_json({"dismissed": number, "counts_until": counts_until})
    else:
        what = f"its first {counts_until} certificates count" if counts_until else "nothing counts"
        console.print(f"Deputy {number} is dismissed: {what}. {TOLD}")


def org_issuers(authority_dir: AuthorityDir, as_json: AsJson = False) -> None:
    """List who issues certificates: the authority's own daemon, and its deputies."""
    with open_authority(authority_dir) as authority:
        rows = [issuer.as_dict() for issuer in authority.deputies.all()]
    if as_json:
        print_json({"issuers": rows})
    else:
        _show(rows)


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table("number", "", "until", title="Who issues", title_justify="left")
    for row in rows:
        what = "deputy" if row["is_deputy"] else "the authority"
        if row["counts_until"] is not None:
            what += f" [red]dismissed[/] (counts up to {row['counts_until']})"
        table.add_row(str(row["number"]), what, day(row["until_ms"]))
    console.print(table)
