"""What the demo says on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from epost.daemon.demo.check import MailCheck
from epost.daemon.demo.state import DemoNode, DemoState, mail_services
from epost.daemon.folder import RECOVERY_REMEDY

SECURITY_WORDS = {
    "plain": "none (loopback, only your own programs are served)",
    "starttls": "STARTTLS",
    "tls": "TLS",
}


def show_beginning(console: Console, nodes: int, users: Sequence[str]) -> None:
    """Say what is going to happen."""
    console.print("\n[bold]ePOST: mail without servers[/]")
    console.print(
        f"Founding example.org with {nodes} machine{'s' * (nodes != 1)} on this computer, each a "
        "process of its own.\n"
    )
    if nodes < len(users):
        console.print(
            f"[yellow]Only the first {nodes} of {len(users)} users get a machine: "
            f"{', '.join(users[:nodes])}.[/]\n"
        )


def show_resumed(console: Console, state: DemoState, nodes: int) -> None:
    """Say that an organisation is taken up again."""
    console.print(f"\n[bold]ePOST: {state.domain} again, with all its mail[/]")
    if nodes != len(state.nodes):
        console.print(
            f"[yellow]This folder holds an organisation of {len(state.nodes)} machines; it is "
            f"started as it is (asked for: {nodes}). Choose another --dir for a new one.[/]"
        )
    console.print()


def show_lost(console: Console, nodes: Sequence[DemoNode]) -> None:
    """Say whose machines are not started, and what brings them back."""
    for node in nodes:
        console.print(f"[yellow]{node.name} is not started. {RECOVERY_REMEDY}[/]", soft_wrap=True)


def show_ring(console: Console, state: DemoState, pids: Mapping[str, int]) -> None:
    """Show the machines in the order of the ring."""
    table = Table(title="The ring is whole", title_justify="left")
    for column in ("machine", "node id", "user", "pid"):
        table.add_column(column)
    for node in sorted(state.nodes, key=lambda n: n.node_id):
        pid = str(pids.get(node.name, "not running"))
        table.add_row(node.name, node.node_id[:8] + "…", node.user or "(storage only)", pid)
    console.print(table)


def show_check(console: Console, check: MailCheck) -> None:
    """Tell what became of the mail."""
    console.print(
        f"\n{check.sender} submitted a mail of {check.size:,} octets with two attachments.\n"
        f"Accepted after {check.submit_seconds * 1000:.0f} ms: [bold]{check.accepted}[/]"
    )
    for reading in check.readings:
        verdict = "the same octets" if reading.is_exact else "[red]OTHER OCTETS[/]"
        console.print(f"{reading.user} read it after {reading.seconds:.2f} s: {verdict}.")
    table = Table(title="Where its parts lie: encrypted, stored once", title_justify="left")
    for column in ("part", "handle", "stored bytes", "on"):
        table.add_column(column)
    for part in check.parts:
        table.add_row(part.label, part.handle[:16] + "…", f"{part.size:,}", ", ".join(part.holders))
    console.print(table)
    if check.passed:
        console.print(
            f"[bold green]All well:[/] the octets are exact at every recipient, each part lies "
            f"under one handle on at least {check.copies_wanted} "
            f"machine{'s' * (check.copies_wanted != 1)}.\n"
        )


def show_authority(console: Console, authority_dir: Path, node: DemoNode) -> None:
    """Say how the organisation is looked after, and who follows what is decided."""
    console.print(
        f"{node.name} runs the authority: what is said with --authority-dir {authority_dir} (as by "
        "`epost org members`) is in force within a minute.\n",
        soft_wrap=True,
        highlight=False,
    )


def show_settings(console: Console, directory: Path, state: DemoState) -> None:
    """Show what to type into a mail program."""
    console.print("[bold]Settings for your mail program[/]\n")
    for node in state.nodes:
        if node.user:
            console.print(f"  {node.user}   password {node.password}", soft_wrap=True)
            services = mail_services(directory, state, node)
            doors = (
                f"{protocol.upper()} {service.host} port {service.port}   "
                for protocol, service in services.items()
            )
            console.print(
                f"      {''.join(doors)}security: {SECURITY_WORDS[services['smtp'].security]}",
                soft_wrap=True,
                highlight=False,
            )
    console.print(
        "\nPasswords and recovery words are in demo-secrets.json (mode 0600: a demo only; "
        "`epost join` shows the words once).\nKill a daemon if you like; "
        f"`epost demo restart-node NAME --dir {directory}` brings it back. "
        "Ctrl-C stops the demo.\n",
        soft_wrap=True,
        highlight=False,
    )
