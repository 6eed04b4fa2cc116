"""`epost trace`: where a mail is, in words."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from epost.cli.options import AsJson, DataDir, ask_daemon, print_json
from epost.cli.views import console
from epost.cli.wording import second

_WORDS = {
    "held": "held on the sender's machine",
    "stored": "stored: the ring has the sender's record of it",
    "delegated": "delegated: left with machines that keep it for her",
    "delivered": "delivered",
    "read": "read",
    "refused": "refused by her machine",
    "undeliverable": "given up",
}


def trace(
    message_id: Annotated[
        str, typer.Argument(help="The Message-ID of a mail, or the id that its submission gave.")
    ],
    data_dir: DataDir,
    as_json: AsJson = False,
) -> None:
    """Tell where a mail is, sent or received: every state with its time and who signed for it."""
    answer = ask_daemon(data_dir, "trace", message_id=message_id)
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def _show(answer: Mapping[str, Any]) -> None:
    now_ms = 1000 * datetime.datetime.now(datetime.UTC).timestamp()
    for message in answer["sent"]:
        who, when = f"your machine {message['from_device']}", _time(message["sent_ms"])
        is_held = message["sent_ms"] > now_ms
        sent = f"Held by {who}, to leave at {when}" if is_held else f"Sent by {who} at {when}"
        console.print(f"{sent}; offered until {_time(message['expires_ms'])}.")
        if is_held:
            console.print(f"To take it back: epost queue --cancel {message['id'][:8]}")
        for recipient in message["recipients"]:
            table = Table("state", "at", "signed by", title_justify="left")
            table.title = f"to {recipient['name']}: {recipient['state']}"
            for state in recipient["states"]:
                said = state["remark"]
                signed = "\n".join(_signers(state))
                words = _WORDS[state["state"]] + (f" ({said})" if said else "")
                table.add_row(words, _time(state["at_ms"]), signed)
            console.print(table)
    for mail in answer["received"]:
        accepted = _time(mail["accepted_ms"]) or "a time that its log does not say"
        console.print(
            f"Received, in {mail['folder']}: from {mail['from']}, machine {mail['from_device']}, "
            f"who signed it at {_time(mail['sent_ms'])}; your machine {mail['accepted_by']} "
            f"accepted it at {accepted}."
        )


def _signers(state: Mapping[str, Any]) -> Iterator[str]:
    for one in state["signed_by"]:
        who = (
            f"node {one['node_id'][:16]}…"
            if "node_id" in one
            else f"{one['account']}, machine {one['device']}"
        )
        yield f"{who}, {_time(one['at_ms'])}"


def _time(milliseconds: int | None) -> str:
    return second(milliseconds) if milliseconds else ""
