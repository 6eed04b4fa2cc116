"""The commands of those who run an organisation: `epost org ...`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from epost.cli.member_views import (
    show_held,
    show_members,
    show_removed,
    show_renamed,
    show_rolled_over,
    show_secret_rotated,
    show_transferred,
)
from epost.cli.options import (
    AsJson,
    AuthorityDir,
    DataDir,
    Listen,
    Site,
    Yes,
    ask_first,
    open_authority,
    print_json,
    standing_at,
)
from epost.cli.sizes import parse_mebibytes
from epost.cli.views import show_joined, show_nodes, show_quota, show_revoked, show_rules

QUOTA_HELP = "How much a member may store who has no quota of her own: 50G, 500M, none."

org = typer.Typer(no_args_is_help=True, help="Found an organisation and look after its authority.")


@org.command("init")
def org_init(  # noqa: PLR0913, PLR0917 - the options of a command
    domain: Annotated[str, typer.Argument(help="The domain of the organisation, example.org.")],
    user: Annotated[str, typer.Option(help="Your own name in it: the part before the @.")],
    data_dir: DataDir,
    authority_dir: AuthorityDir,
    listen: Listen = "127.0.0.1:4510",
    enrol_listen: Annotated[
        str, typer.Option(help="Where new members enrol: host:port that they can reach.")
    ] = "127.0.0.1:4511",
    quota: Annotated[str, typer.Option(help=QUOTA_HELP)] = "none",
    site: Site = "",
    as_json: AsJson = False,
) -> None:
    """Found an organisation: its authority, and this machine as its first member."""
    from epost.daemon.config import parse_address
    from epost.daemon.folder import NodeFolder
    from epost.daemon.joining.membership import found_organisation
    from epost.daemon.joining.new_machine import NewMachine
    from epost.daemon.tls.listening import is_loopback

    everybody = parse_mebibytes(quota)
    joined = asyncio.run(
        found_organisation(
            domain,
            user,
            NewMachine(data_dir, listen, config=standing_at(site)),
            authority_dir.resolve(),
            enrol_listen=enrol_listen,
            quota_mib=everybody,
        )
    )
    if as_json:
        print_json(joined.as_dict())
    else:
        is_local = any(is_loopback(parse_address(at)) for at in (listen, enrol_listen))
        show_joined(joined.as_dict(), data_dir, is_founder=True, is_local=is_local)
    NodeFolder(data_dir).forget_enrolment()


@org.command("nodes")
def org_nodes(authority_dir: AuthorityDir, as_json: AsJson = False) -> None:
    """List the machines of the organisation: whose, where, since when, in force or revoked."""
    with open_authority(authority_dir) as authority:
        rows = [
            {
                "node_id": node.node_id.hex(),
                "user": name,
                "site": node.site,
                "enrolled_ms": node.issued_at,
                "revoked_ms": node.revoked_at,
            }
            for node, name in authority.members.nodes()
        ]
    rows.sort(key=lambda row: (row["enrolled_ms"] or 0, row["node_id"]))
    if as_json:
        print_json({"nodes": rows})
    else:
        show_nodes(rows)


@org.command("revoke-node")
def org_revoke_node(
    name_or_id: Annotated[
        str, typer.Argument(help="Whose machine (bob@example.org), or the start of its node id.")
    ],
    authority_dir: AuthorityDir,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take a machine that is lost or gone out of the organisation, for good."""
    with open_authority(authority_dir) as authority:
        node_id = authority.members.find_node(name_or_id)
        ask_first(f"Revoke {node_id.hex()} for good?", yes=yes)
        authority.revoke_node(node_id)
    if as_json:
        print_json({"revoked": node_id.hex()})
    else:
        show_revoked(node_id.hex())


@org.command("policy")
def org_policy(  # noqa: PLR0913, PLR0917 - the options of a command
    authority_dir: AuthorityDir,
    account_days: Annotated[
        int | None, typer.Option(help="How long an account's certificate is good for: days.")
    ] = None,
    node_soft_days: Annotated[
        int | None, typer.Option(help="After so many days a machine not renewed is warned of.")
    ] = None,
    node_days: Annotated[
        int | None, typer.Option(help="After so many days it is not let in any more.")
    ] = None,
    lease_days: Annotated[
        int | None, typer.Option(help="How long stored data is kept without being renewed.")
    ] = None,
    must_run_node: Annotated[
        bool | None,
        typer.Option(
            "--must-run-node/--need-not-run-node",
            help="Whether an account ends if its user runs no machine for too long.",
        ),
    ] = None,
    former_name_days: Annotated[
        int | None,
        typer.Option(help="How long a member who was renamed keeps her former name, too: days."),
    ] = None,
    quota: Annotated[str | None, typer.Option(help=QUOTA_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the organisation goes by, or change it: say what, and the rest stays."""
    wanted = {
        "account_days": account_days,
        "node_soft_days": node_soft_days,
        "node_days": node_days,
        "lease_days": lease_days,
        "must_run_node": must_run_node,
        "former_name_days": former_name_days,
        "quota_mib": None if quota is None else parse_mebibytes(quota),
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    with open_authority(authority_dir) as authority:
        rules = authority.change_rules(changes) if changes else authority.rules
    if as_json:
        print_json(rules.as_dict())
    else:
        show_rules(rules.as_dict(), is_changed=bool(changes))


@org.command("set-quota")
def org_set_quota(
    name: Annotated[str, typer.Argument(help="Whose: alice@example.org.")],
    amount: Annotated[
        str,
        typer.Argument(help="50G, 500M, 1.5T; none: no limit; default: what everybody may store."),
    ],
    authority_dir: AuthorityDir,
    as_json: AsJson = False,
) -> None:
    """Say how much a member may store on the machines of the organisation."""
    is_default = amount.strip().lower() == "default"
    mebibytes = None if is_default else parse_mebibytes(amount)
    with open_authority(authority_dir) as authority:
        in_force = authority.set_quota(name, mebibytes)
    quota = {"name": name, "quota_mib": in_force, "is_default": is_default}
    if as_json:
        print_json(quota)
    else:
        show_quota(quota)


Name = Annotated[str, typer.Argument(help="Whose account: bob@example.org.")]


@org.command("members")
def org_members(authority_dir: AuthorityDir, as_json: AsJson = False) -> None:
    """List the members: machines, state, how long certified, last seen in the ring."""
    with open_authority(authority_dir) as authority:
        rows = [member.as_dict() for member in authority.members.all()]
    if as_json:
        print_json({"members": rows})
    else:
        show_members(rows)


@org.command("remove")
def org_remove(
    name: Name, authority_dir: AuthorityDir, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Take a member out for good: her machines, her account, in the end what only she stored.

    Mail to her is refused from now on, and what waits for her goes back to its senders in time. She
    can still read what is on her machines. What others keep of her mail they keep; what only she
    had stored is freed when its lease ends (epost org policy), after 90 days in the trash. Her name
    is given to nobody else for 400 days, unless it is transferred.
    """
    with open_authority(authority_dir) as authority:
        authority.members.require_member(name)
        ask_first(f"Remove {name} and all her machines for good?", yes=yes)
        machines = authority.members.remove(name)
    if as_json:
        print_json({"removed": name, "machines": machines})
    else:
        show_removed(name, machines)


@org.command("hold")
def org_hold(
    name: Name,
    authority_dir: AuthorityDir,
    release: Annotated[bool, typer.Option("--release", help="End the hold.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep everything of a member who is away for long, until she is back (--release).

    Leases of what she stored do not end, and her account is renewed though none of her machines
    runs. Mail to her is accepted as before; a mail that nobody took for 180 days goes back.
    """
    with open_authority(authority_dir) as authority:
        if release:
            authority.members.release(name)
        else:
            authority.members.hold(name)
    if as_json:
        print_json({"name": name, "held": not release})
    else:
        show_held(name, is_held=not release)


@org.command("transfer")
def org_transfer(
    name: Name,
    successor: Annotated[str, typer.Argument(help="Who gets mail to it from now on.")],
    authority_dir: AuthorityDir,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let mail to a name go to another member from now on; whoever had it is removed.

    The mail that came before stays closed: nobody but its owner can read it, the authority neither.
    The successor answers under her own name.
    """
    with open_authority(authority_dir) as authority:
        authority.members.require_member(successor)
        question = f"Remove {name} if still a member, and send her mail to {successor}?"
        ask_first(question, yes=yes)
        authority.members.transfer(name, successor)
    if as_json:
        print_json({"transferred": name, "successor": successor})
    else:
        show_transferred(name, successor)


@org.command("rename")
def org_rename(
    name: Name,
    new: Annotated[str, typer.Argument(help="The name from now on: alice.smith@example.org.")],
    authority_dir: AuthorityDir,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give a member another name; her account, keys, machines and mail stay as they are.

    Her machines learn it by themselves. Mail to the former name arrives, she may still send under
    it, and her mail programs may still log in by it; whoever writes to it is told the new name. It
    is hers for as long as the policy says (epost org policy --former-name-days), and is given to
    nobody else in that time and for 400 days after.
    """
    with open_authority(authority_dir) as authority:
        authority.members.require_member(name)
        ask_first(f"Give {name} the name {new}?", yes=yes)
        renamed = authority.names.rename(name, new)
    if as_json:
        print_json(renamed.as_dict())
    else:
        show_renamed(renamed.as_dict())


@org.command("roll-over")
def org_roll_over(authority_dir: AuthorityDir, yes: Yes = False, as_json: AsJson = False) -> None:
    """Replace the organisation's root key by a new one, which all machines follow.

    Do it when somebody who had the key leaves, or every few years. It needs root.key in the
    authority's folder. Invitations made before do not work any more.
    """
    from epost.daemon.authority.keys import FORMER_ROOT_FILE

    with open_authority(authority_dir) as authority:
        ask_first("Replace the root key of the organisation?", yes=yes)
        authority.roll_over()
        fingerprint = authority.trust.fingerprint.hex()
    if as_json:
        print_json({"fingerprint": fingerprint})
    else:
        show_rolled_over(fingerprint, FORMER_ROOT_FILE)


@org.command("rotate-secret")
def org_rotate_secret(authority_dir: AuthorityDir, as_json: AsJson = False) -> None:
    """Put a new organisation secret in force, so that who left cannot test what is stored.

    It happens by itself twice a year, and within a day after a member or a machine was taken out.
    The secret lets an attachment that many store be stored once. Members fetch the new one by
    themselves; what was stored under a former one stays readable.
    """
    with open_authority(authority_dir) as authority:
        epoch = authority.secrets.rotate()
    if as_json:
        print_json({"epoch": epoch})
    else:
        show_secret_rotated(epoch)
