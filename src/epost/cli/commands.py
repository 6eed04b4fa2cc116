"""Every command with its options and help; the work is done in daemon and simulation."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from epost import __version__
from epost.cli.account import account
from epost.cli.backups import backup, restore
from epost.cli.deputies import org_appoint, org_deputy, org_dismiss, org_issuers
from epost.cli.devices import compare_digits, device
from epost.cli.inspecting import repair, verify
from epost.cli.mail_programs import client_settings, password
from epost.cli.options import (
    Advertise,
    AsJson,
    AuthorityDir,
    DataDir,
    Listen,
    Site,
    WordsFile,
    ask_daemon,
    open_authority,
    print_json,
    read_words,
    say,
    standing_at,
    stop,
)
from epost.cli.organisation import org
from epost.cli.past import folder
from epost.cli.tracing import trace
from epost.cli.views import (
    console,
    show_invitation,
    show_joined,
    show_queue,
    show_recovered,
    show_ring,
    show_status,
    show_withdrawn,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="ePOST: mail and messaging without servers.",
)
demo = typer.Typer(help="Run a small organisation of real daemons on this machine.")
org.command("deputy")(org_deputy)
org.command("appoint")(org_appoint)
org.command("dismiss")(org_dismiss)
org.command("issuers")(org_issuers)
app.add_typer(org, name="org")
app.command()(backup)
app.command()(restore)
app.add_typer(device, name="device")
app.add_typer(account, name="account")
app.command()(trace)
app.command()(verify)
app.command()(repair)
app.command()(folder)
app.add_typer(demo, name="demo")
app.add_typer(password, name="password")
app.command("client-settings")(client_settings)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Mail and messaging without servers."""
    if show:
        console.print(f"epost {__version__}")
        raise typer.Exit


@app.command()
def invite(
    authority_dir: AuthorityDir,
    name: Annotated[str | None, typer.Argument(help="The new member: bob@example.org.")] = None,
    storage_only: Annotated[
        bool, typer.Option("--storage-only", help="Invite a machine without a user.")
    ] = False,
    another_machine: Annotated[
        bool,
        typer.Option(
            "--another-machine", help="One more machine, or a new one after a loss: epost recover."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an invitation, good for one machine and 72 hours."""
    from epost.daemon.tls.listening import is_loopback

    if (name is None) != storage_only:
        stop("say whom to invite (bob@example.org), or --storage-only, not both")
    if storage_only and another_machine:
        stop("a machine without a user is nobody's other machine: say --storage-only alone")
    with open_authority(authority_dir) as authority:
        if another_machine and name is not None:
            text = authority.invite_device(name)
        else:
            text = authority.invite(name)
        enrolment = authority.enrolment_address
    if as_json:
        print_json({"invite": text, "name": name})
    else:
        command = "recover" if another_machine else "join"
        show_invitation(text, command=command, is_local=is_loopback(enrolment))


@app.command()
def join(
    invitation: Annotated[
        str, typer.Argument(help="The invitation, epost1:..., or what epost device add shows.")
    ],
    data_dir: DataDir,
    listen: Listen = "0.0.0.0:4510",
    advertise: Advertise = None,
    site: Site = "",
    as_json: AsJson = False,
) -> None:
    """Make this machine a member of an organisation, or one more machine of your account.

    With an invitation it shows the 24 recovery words of the new account, once; with the code that
    epost device add shows on another machine of yours, it becomes one of these.
    """
    from epost.daemon.folder import NodeFolder
    from epost.daemon.joining.membership import join_organisation
    from epost.daemon.joining.new_machine import NewMachine
    from epost.daemon.pairing.code import is_device_code
    from epost.daemon.pairing.guest import join_account

    machine = NewMachine(data_dir, listen, advertise or (), standing_at(site))
    is_device = is_device_code(invitation)
    joining = (
        join_account(invitation, machine, compare=compare_digits, say=say)
        if is_device
        else join_organisation(invitation, machine)
    )
    joined = asyncio.run(joining)
    if as_json:
        print_json(joined.as_dict())
    elif is_device:
        show_recovered(joined.as_dict(), data_dir, is_only_machine=False)
    else:
        show_joined(joined.as_dict(), data_dir, is_founder=False)
    NodeFolder(data_dir).forget_enrolment()


@app.command()
def recover(
    invitation: Annotated[str, typer.Argument(help="Of: epost invite --another-machine NAME")],
    data_dir: DataDir,
    listen: Listen = "0.0.0.0:4510",
    advertise: Advertise = None,
    words_file: WordsFile = None,
    keep_machines: Annotated[
        bool,
        typer.Option(
            "--keep-machines",
            help="This machine comes in addition; without this all others are revoked.",
        ),
    ] = False,
    site: Site = "",
    as_json: AsJson = False,
) -> None:
    """Bring an account back on a new machine with its 24 words, or add a machine to it."""
    from epost.daemon.joining.new_machine import NewMachine
    from epost.daemon.joining.recovery import recover_account

    words = read_words(words_file)
    machine = NewMachine(data_dir, listen, advertise or (), standing_at(site))
    joined = asyncio.run(
        recover_account(invitation, words, machine, revoke=not keep_machines, say=say)
    )
    if as_json:
        print_json(joined.as_dict())
    else:
        show_recovered(joined.as_dict(), data_dir, is_only_machine=not keep_machines)


@app.command()
def run(data_dir: DataDir) -> None:
    """Run the daemon of this machine until it is told to stop (Ctrl-C)."""
    from epost.daemon.process import run_daemon

    sys.exit(run_daemon(data_dir))


@app.command()
def status(data_dir: DataDir, as_json: AsJson = False) -> None:
    """Show how the daemon is: ring, storage, queues."""
    answer = ask_daemon(data_dir, "status")
    if as_json:
        print_json(answer)
    else:
        show_status(answer)


@app.command()
def ring(data_dir: DataDir, as_json: AsJson = False) -> None:
    """Show the neighbours on the ring, what lacks copies, and how safe the data is."""
    answer = ask_daemon(data_dir, "ring")
    if as_json:
        print_json(answer)
    else:
        show_ring(answer)


@app.command()
def queue(
    data_dir: DataDir,
    cancel: Annotated[
        str | None, typer.Option(metavar="ID", help="Take back a mail that is held until later.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what has been accepted and is not yet delivered."""
    if cancel is not None:
        answer = ask_daemon(data_dir, "withdraw", id=cancel)
    else:
        answer = ask_daemon(data_dir, "queue")
    if as_json:
        print_json(answer)
    elif cancel is not None:
        show_withdrawn(answer)
    else:
        show_queue(answer)


@app.command()
def config() -> None:
    """Print a node's configuration file with every default."""
    from epost.daemon.config import NodeConfig, render_config

    sys.stdout.write(render_config(NodeConfig()))


@app.command()
def protect(data_dir: DataDir) -> None:
    """Put this device's keys under a passphrase, asked for here and at every start."""
    from epost.daemon.folder import NodeFolder
    from epost.daemon.unlocking import protect as protect_keys
    from epost.daemon.world import SystemEntropy

    phrase = typer.prompt(
        "New passphrase (empty: none)",
        default="",
        show_default=False,
        hide_input=True,
        confirmation_prompt=True,
    )
    protect_keys(NodeFolder(data_dir), phrase, SystemEntropy())
    console.print(
        "Done. It is asked for when the daemon starts." if phrase else "Done: no passphrase."
    )


@demo.callback(invoke_without_command=True)
def demo_run(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Option("--dir", help="Where the demo keeps its state.")
    ] = Path("demo-state"),
    nodes: Annotated[int, typer.Option(min=1, max=50, help="How many daemons.")] = 5,
    users: Annotated[str, typer.Option(help="Accounts, separated by commas.")] = "alice,bob,carol",
    once: Annotated[bool, typer.Option("--once", help="Stop after the check.")] = False,
    repair_delay: Annotated[
        float, typer.Option(help="Seconds until a lost copy is made anew elsewhere.")
    ] = 20.0,
) -> None:
    """Start real daemons, send a real mail through them, and stay up until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    from epost.daemon.demo.run import run_demo

    names = [name.strip() for name in users.split(",") if name.strip()]
    sys.exit(
        run_demo(directory, nodes=nodes, users=names, once=once, repair_delay_seconds=repair_delay)
    )


@demo.command("restart-node")
def demo_restart_node(
    name: Annotated[str, typer.Argument(help="The node's name in demo.json.")],
    directory: Annotated[
        Path, typer.Option("--dir", help="The folder of the running demo.")
    ] = Path("demo-state"),
) -> None:
    """Start a daemon of a running demo again that was killed."""
    from epost.daemon.control import NoDaemon, ask

    try:
        answer = ask(directory, "restart-node", name=name)
    except NoDaemon:
        stop(f"no demo runs on {directory}. Start it: epost demo --dir {directory}")
    console.print(answer["text"])


@app.command()
def simulate(
    scenario: Annotated[str, typer.Option(help="Which scenario; --list names them.")] = "mail",
    seed: Annotated[int, typer.Option(help="Everything random comes from this number.")] = 1,
    minutes: Annotated[float, typer.Option(help="Virtual minutes.")] = 60.0,
    broken: Annotated[
        str | None, typer.Option("--break", help="Break the system so that this invariant fails.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name scenarios and invariants.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run many nodes in virtual time with faults; exit 0 only if every invariant held."""
    from epost.simulation.run import describe_scenarios, run_scenario

    if list_:
        sys.stdout.write(describe_scenarios() + "\n")
        return
    report = run_scenario(scenario, seed=seed, minutes=minutes, broken=broken)
    sys.stdout.write((json.dumps(report.as_dict()) if as_json else report.text()) + "\n")
    sys.exit(0 if report.held else 1)
