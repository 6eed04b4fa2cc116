"""`epost backup` and `epost restore`: a machine's keys and the authority's register in one file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from epost.cli.options import (
    Advertise,
    AsJson,
    AuthorityDir,
    DataDir,
    print_json,
    read_text,
    read_words,
    stop,
)
from epost.cli.views import console

PassphraseFile = Annotated[
    Path | None, typer.Option(help="A file with the passphrase; else it is asked for.")
]


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; an older one is replaced.")],
    data_dir: DataDir,
    authority_dir: AuthorityDir,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Lock with a passphrase, not for the 24 words.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Save this machine's keys and, if it is here, the organisation's authority, encrypted.

    For the 24 words of the account, unless --passphrase says otherwise; a machine without a user
    needs one. Mail is not in it: that is in the ring. The daemon may run meanwhile; make a new
    backup whenever a member joined or left (a timer is best).
    """
    from epost.daemon.backup.making import make_backup

    phrase = _passphrase(passphrase_file, confirm=True) if passphrase or passphrase_file else None
    made = make_backup(file, data_dir, authority_dir, phrase)
    if as_json:
        print_json(made.as_dict())
        return
    what = " and ".join(filter(None, (made.name, "the authority" if made.authority else "")))
    how = "its passphrase" if phrase else f"the 24 words of {made.name}"
    console.print(f"{file}: {what}, {made.octets:,} octets, read back. It opens with {how}.")


def restore(
    file: Annotated[Path, typer.Argument(help="What epost backup has written.")],
    data_dir: DataDir,
    authority_dir: AuthorityDir,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            "--passphrase-file",  # as `epost backup` calls it
            help="A file with the 24 words, or the passphrase; else it is asked for.",
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option(help="Where other daemons reach this machine, if that has changed.")
    ] = "",
    advertise: Advertise = None,
    enrol_listen: Annotated[
        str, typer.Option(help="Where new members enrol, if that has changed.")
    ] = "",
) -> None:
    """Make a machine again from its backup, in empty folders; what the ring has comes by itself.

    Never run the old machine again after this: both would be the same one.
    """
    from epost.daemon.backup.contents import Moved
    from epost.daemon.backup.file import WORDS, read_backup
    from epost.daemon.backup.making import restore_backup
    from epost.daemon.joining.recovery_words import seed_of_words

    saved = read_backup(file)
    secret: str | bytes
    if saved.opened_by == WORDS:
        secret = seed_of_words(read_words(secret_file, f"The 24 words of {saved.name}"))
    else:
        secret = _passphrase(secret_file, confirm=False)
    moved = Moved(listen, tuple(advertise or ()), enrol_listen)
    where = data_dir, authority_dir.absolute()
    node, authority = asyncio.run(restore_backup(saved, secret, *where, moved))
    if node:
        console.print(
            f"{data_dir} is a machine again. Start it: epost run --data-dir {data_dir} (A "
            "passphrase: epost protect.)",
            soft_wrap=True,
        )
    if authority:
        console.print(f"{authority_dir} is the authority again; it catches up with the ring.")


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        return read_text(file).rstrip("\n")
    text: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)
    return text or stop("A backup needs a passphrase: it holds keys.")
