"""The commands for one's own account as a whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from epost.cli.options import (
    AsJson,
    DataDir,
    WordsFile,
    Yes,
    ask_first,
    print_line,
    read_text,
    read_words,
    say,
    stop,
)
from epost.cli.views import console, show_words

account = typer.Typer(no_args_is_help=True, help="Your account as a whole.")
ASKED_FOR = (7, 19)
"""Which of the new words must be typed, by who may not have written them down."""


@account.command("rekey")
def account_rekey(
    data_dir: DataDir,
    words_file: WordsFile = None,
    new_words_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with new words that were shown before, to say the same again; else new "
            "ones are made."
        ),
    ] = None,
    revoke: Annotated[
        list[str] | None,
        typer.Option(help="A machine that ends with it: its number, or the start of its node id."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give your account other keys and 24 other words, since somebody may know the present ones.

    Address, mail and machines stay; the daemon must be running, and the authority's too. Machines
    of yours with an ePOST that does not know this command do not follow: update these first. With
    --json two lines are printed: the words before anything is changed, and what came of it.
    """
    from epost.daemon.account.devices import Owner
    from epost.daemon.account.rekeying import KeyChange, new_words
    from epost.daemon.authority.world import system_world

    owner = Owner(data_dir, read_words(words_file, "The 24 words that are in force"))
    words = read_text(new_words_file) if new_words_file else new_words(system_world().entropy)
    change = KeyChange(owner, words, say=say)
    if as_json:  # words that were never shown would be lost if the command is cut off
        print_line({"recovery_words": " ".join(words.split())})
    else:
        show_words(words.split())
    if not yes:
        if new_words_file is None:
            _require_written(words.split())
        ask_first("End the present words, and put these in force?", yes=False)
    is_followed = asyncio.run(change.run(revoked=revoke or []))
    if as_json:
        print_line({"recovery_words": " ".join(words.split()), "followed": is_followed})
        return
    _show_outcome(is_followed=is_followed)


def _show_outcome(*, is_followed: bool) -> None:
    console.print("Done: the new words are in force.", style="bold")
    if not is_followed:
        console.print("This machine goes on under them as soon as it sees them in the ring.")
    console.print(
        "The old ones bring nothing back any more, but whoever has them may have read your mail "
        "until now. Backups that were made before open by the old words: keep these apart, and "
        "make a new one. Your other machines follow by themselves when they run; one whose ePOST "
        "does not know this command yet does not follow until it is updated."
    )


def _require_written(words: list[str]) -> None:
    for number in ASKED_FOR:
        if typer.prompt(f"Word {number}").strip().lower() != words[number - 1]:
            stop("that is another word, and nothing was changed: write them down, then start again")
