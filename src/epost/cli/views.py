"""What the command line shows to people; scripts take --json instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from epost.cli.sizes import in_words
from epost.cli.wording import count, day, duration, octets

console = Console()

_WORDS_PER_LINE = 4


def of_others(text: str) -> Text:
    """Return what others have written, without effect on the terminal: no markup, no controls."""
    return Text("".join(character if character.isprintable() else " " for character in text))


def show_joined(
    joined: Mapping[str, Any], data_dir: Path, *, is_founder: bool, is_local: bool = False
) -> None:
    """Greet a new member: recovery words, first password, what to do next."""
    console.print(f"\nThis machine is now {joined['name']} of {joined['domain']}.\n", style="bold")
    if joined["recovery_words"]:
        show_words(joined["recovery_words"].split())
        console.print(f"Password for your mail program: [bold]{joined['password']}[/]")
        console.print(
            f"  user name {joined['name']}, IMAP {joined['imap']}, SMTP {joined['smtp']}\n"
        )
    console.print("Now start the daemon, and keep it running:\n", style="bold")
    console.print(f"  epost run --data-dir {data_dir}\n", soft_wrap=True)
    if is_local:
        show_loopback_only()
    if is_founder:
        console.print("While it runs, others can join. Invite them, one by one:\n", style="bold")
        console.print(f"  epost invite bob@{joined['domain']}\n", soft_wrap=True)


def show_loopback_only() -> None:
    """Say that an organisation cannot be joined from elsewhere, before somebody tries."""
    console.print(
        "[yellow]This organisation listens on loopback: only machines on this very computer can "
        "join it. For others, found it with an address of this computer that they reach: epost org "
        "init … --listen 192.168.1.5:4510 --enrol-listen 192.168.1.5:4511[/]\n"
    )


def show_words(words: list[str]) -> None:
    """Show recovery words, numbered, for somebody who writes them down."""
    console.print("Recovery words. Write them on paper now; they are not shown again and not")
    console.print("stored. Whoever has them owns the account; without them a lost machine")
    console.print("takes the account with it.\n")
    for row in range(0, len(words), _WORDS_PER_LINE):  # of 8 letters at most
        line = enumerate(words[row : row + _WORDS_PER_LINE], start=row + 1)
        numbered = (f"{number:2}. {word:10}" for number, word in line)
        console.print("  " + " ".join(numbered))
    console.print()


def show_recovered(recovered: Mapping[str, Any], data_dir: Path, *, is_only_machine: bool) -> None:
    """Say that the account is here, and what comes of its other machines."""
    console.print(f"\n{recovered['name']} has this machine now.\n", style="bold")
    console.print(f"Password for your mail program: [bold]{recovered['password']}[/]")
    console.print(
        f"  user name {recovered['name']}, IMAP {recovered['imap']}, SMTP {recovered['smtp']}\n"
    )
    console.print("Now start the daemon, and keep it running; your mail comes in then:\n")
    console.print(f"  epost run --data-dir {data_dir}\n", soft_wrap=True)
    if is_only_machine:
        console.print(
            "Your other machines are revoked: what they write from now on counts for nothing, and "
            "new mail is closed to them. Whoever runs the organisation should take them out of "
            "the ring too: epost org revoke-node.\n"
            "Your 24 words stay the same; keep them.",
        )


def show_invitation(text: str, *, command: str = "join", is_local: bool = False) -> None:
    """Show what to send to the new member; `is_local`: only this computer reaches the authority."""
    if is_local:
        show_loopback_only()
    console.print("On the new machine, within 72 hours:\n", style="bold")
    console.print(f"  epost {command} {text}\n", soft_wrap=True)
    console.print("The invitation works once. Whoever has it can join: send it privately.")


def show_status(status: Mapping[str, Any]) -> None:
    """Show how a daemon is."""
    table = Table(title="This node", title_justify="left", show_header=False)
    for name, text in _status_rows(status):
        table.add_row(name, text)
    console.print(table)
    _show_advice(status["advice"])


def _show_advice(advice: Sequence[str]) -> None:
    for text in advice:
        console.print(f"\n[yellow]{text}[/]", soft_wrap=True)


def _status_rows(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    ring, storage = status["ring"], status["storage"]
    names = status.get("former_names", ())  # a daemon that was not restarted since says none
    former = ", formerly " + ", ".join(names) if names else ""
    yield "name", f"{status['name']} ({status['domain']}){former}"
    yield "node", f"{status['node_id']}, process {status['pid']}, version {status['version']}"
    yield "keys", status["keys"]
    membership = "member of the ring" if ring["ready"] else "not in the ring yet"
    yield (
        "ring",
        f"{membership}; {count(ring['members'] - 1, 'neighbour')} alive, "
        f"{count(ring['enrolled'], 'machine')} enrolled, "
        f"{count(ring['copies_wanted'], 'copy', 'copies')} of everything",
    )
    yield "log", status["log"]
    yield (
        "storage",
        f"{count(storage['blocks'], 'block')}, {octets(storage['bytes'])}; "
        f"{octets(storage['free_bytes'])} free",
    )
    if status["copying"] != "allowed":
        yield "copying", f"waits: {status['copying']}"
    yield from _further_storage_rows(storage)
    if ring["ready"] and ring["catching_up"]:
        yield "catching up", "may have missed something while away; comparing with others"
    yield "disk check", _disk_check(storage)
    waiting = status["queue"]["messages"]
    yield "queue", f"{count(waiting, 'message')}: epost queue" if waiting else "empty"
    for name, where in status["services"].items():
        yield f"{name} at", where


def _further_storage_rows(storage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if storage["diverted"] or storage["pointers"]:
        yield (
            "for want of room",
            f"{count(storage['pointers'], 'replica')} kept by neighbours, "
            f"{count(storage['diverted'], 'replica')} kept for them",
        )
    if storage.get("cached"):  # not told by an older daemon
        yield (
            "in spare space",
            f"{count(storage['cached'], 'popular block')}, {octets(storage['cached_bytes'])}",
        )
    if storage["trashed"]:
        yield (
            "trash",
            f"{count(storage['trashed'], 'block')}, {octets(storage['trashed_bytes'])}",
        )
    if storage["unpushed"]:
        yield "held here", f"{count(storage['unpushed'], 'block')} until the ring has them"
    if storage["below_k"]:
        yield "too few copies", f"{count(storage['below_k'], 'block')}, being repaired"


def show_ring(ring: Mapping[str, Any]) -> None:
    """Show the neighbours, and what is known about the safety of the data."""
    table = Table("node", "side", "at", "reachable", "ms", title="Leaf set", title_justify="left")
    for node in ring["leaf_set"]:
        absent = f"[red]no, for {duration(node['absent_seconds'])}[/]"
        table.add_row(
            node["node_id"][:16] + "…",
            node["side"],
            ", ".join(node["addresses"]),
            _reached(node) if node["reachable"] else absent,
            "" if node["round_trip_ms"] is None else f"{node['round_trip_ms']:.1f}",
        )
    console.print(table)
    console.print(
        f"{count(ring['enrolled'], 'machine')} enrolled, "
        f"{count(ring['copies_wanted'], 'copy', 'copies')} of everything; "
        f"{count(ring['below_k'], 'block')} with fewer; "
        f"{_strays(ring)}"
        f"part of {count(ring['groups'], 'group')}."
    )
    _show_loss(ring["loss"])
    _show_advice(ring["advice"])


def _strays(ring: Mapping[str, Any]) -> str:
    strays = ring.get("strays", 0)  # not told by an older daemon
    return f"{count(strays, 'block')} here far from their place; " if strays else ""


def _reached(node: Mapping[str, Any]) -> str:
    through = node.get("through", "")  # empty, or not told by an older daemon
    return f"through {through[:16]}…" if through else "yes"


def _show_loss(loss: Mapping[str, Any]) -> None:
    seen = count(loss["losses_seen"], "loss", "losses")
    console.print(
        f"Estimated probability of losing anything within a year: "
        f"[bold]{loss['yearly_probability']:.1e}[/]\n"
        f"  It rests on: {loss['copies']} copies, {loss['machines']} machines, "
        f"{loss['losses_per_machine_year']:.2f} losses per machine and year ({seen} seen in "
        f"{loss['machine_years_watched']:.2f} machine-years, one in 3 assumed before), a lost copy "
        f"made anew within {duration(loss['repair_seconds'])}; losses independent of each other."
    )


def show_nodes(nodes: Sequence[Mapping[str, Any]]) -> None:
    """Show the machines that the authority ever certified."""
    table = Table("node", "user", "site", "enrolled", "", title="Machines", title_justify="left")
    for node in nodes:
        revoked = node["revoked_ms"]
        table.add_row(
            node["node_id"],
            node["user"] or "(storage only)",
            escape(node["site"]) or "(none)",
            day(node["enrolled_ms"]),
            f"[red]revoked {day(revoked)}[/]" if revoked is not None else "in force",
        )
    console.print(table)


def show_revoked(node_id: str) -> None:
    """Say what happens after a revocation."""
    console.print(f"{node_id} is revoked.")
    console.print(
        "The daemon of this machine tells the others within a minute; what the lost machine kept "
        "is copied elsewhere. If the daemon does not run, start it."
    )


def show_rules(rules: Mapping[str, Any], *, is_changed: bool) -> None:
    """Show what the administrator decided."""
    for text in (
        f"Accounts are certified for {count(rules['account_days'], 'day')}, renewed from half of "
        "it on.",
        f"Machines are certified for {count(rules['node_days'], 'day')}, renewed every "
        f"{count(max(1, rules['node_soft_days'] // 3), 'day')}; not renewed for "
        f"{count(rules['node_soft_days'], 'day')}, they are warned of.",
        f"Stored data is leased for {count(rules['lease_days'], 'day')}.",
        "Who is given another name keeps the former one as well for "
        f"{count(rules['former_name_days'], 'day')}.",
        f"A member may store: {in_words(rules['quota_mib'])} (epost org set-quota for one alone).",
        "A user must run a machine: else her account ends with its certificate."
        if rules["must_run_node"]
        else "A user need not run a machine: the authority renews her account.",
    ):
        console.print(text)
    if is_changed:
        console.print(
            "\nThe daemon of this machine tells the others within a minute. Certificates that are "
            "out keep their time; each gets the new one when it is renewed."
        )


def show_quota(quota: Mapping[str, Any]) -> None:
    """Say how much a member may store from now on, and from when."""
    whose = ", as everybody" if quota["is_default"] else ""
    console.print(f"{quota['name']} may store {in_words(quota['quota_mib'])}{whose}.")
    console.print(
        "The daemon of this machine tells the others within a minute, and the member's machines "
        "have their certificates renewed as soon as they hear of it. What is stored stays."
    )


def _disk_check(storage: Mapping[str, int]) -> str:
    text = f"{storage['scrubbed_percent']} % of this round read again"
    if storage["rotten"]:
        text += f"; {count(storage['rotten'], 'rotten block')} since the start"
        text += f", {storage['rotten_missing']} not fetched again yet"
    return text


def show_queue(queue: Mapping[str, Any]) -> None:
    """Show what has not arrived yet."""
    if not queue["waiting"]:
        console.print("Nothing waits: everything sent was delivered.")
        return
    table = Table("since", "recipient", "state", "why", "id", title="Sent, not yet delivered")
    for row in queue["waiting"]:
        table.add_row(row["since"], row["recipient"], row["state"], row["reason"], row["id"][:8])
    console.print(table)
    if any(row["held_until"] for row in queue["waiting"]):
        console.print("What is still to leave can be taken back: epost queue --cancel ID")


def show_withdrawn(answer: Mapping[str, Any]) -> None:
    """Say that a mail will not be sent."""
    console.print(f"Taken back: {answer['withdrawn']} is not sent to anybody.")


def show_password(application: str, token: str) -> None:
    """Show a new password, once."""
    console.print(f"Password for {escape(application)}, shown only now:\n\n  [bold]{token}[/]\n")
