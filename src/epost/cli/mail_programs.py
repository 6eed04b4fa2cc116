"""The commands that set up mail programs: their passwords, and where they connect."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import segno
import typer
from rich.markup import escape
from rich.table import Table

from epost.cli.options import AsJson, DataDir, print_json, stop
from epost.cli.views import console, show_password

if TYPE_CHECKING:
    from epost.daemon.config import MailSection
    from epost.daemon.mail_programs.client_settings import ClientSettings

password = typer.Typer(no_args_is_help=True, help="Passwords for mail programs, one for each.")


class PasswordScope(StrEnum):
    """What a mail program may do with its password."""

    MAIL = "mail"
    READ_ONLY = "read-only"
    SUBMIT = "submit"


class Form(StrEnum):
    """How settings are printed."""

    TEXT = "text"
    AUTOCONFIG = "autoconfig"
    MOBILECONFIG = "mobileconfig"
    SRV = "srv"
    QR = "qr"


@password.command("add")
def password_add(
    application: Annotated[str, typer.Argument(help="For which program: thunderbird, phone.")],
    data_dir: DataDir,
    scope: Annotated[
        PasswordScope, typer.Option(help="read-only changes and sends nothing, submit only sends.")
    ] = PasswordScope.MAIL,
    as_json: AsJson = False,
) -> None:
    """Make a password for one mail program; shown once. A former one of this name ends."""
    from epost.daemon.mail_programs.passwords import PasswordFile

    replaces = application in dict(PasswordFile(data_dir).scopes())
    token = _new_password(data_dir, application, scope)
    if as_json:
        print_json({"application": application, "scope": scope.value, "password": token})
    else:
        show_password(application, token)
        if replaces:
            console.print(f"The former password for {escape(application)} has ended.")


@password.command("list")
def password_list(data_dir: DataDir, as_json: AsJson = False) -> None:
    """List the programs that have a password, and what each is good for."""
    from epost.daemon.mail_programs.passwords import PasswordFile

    scopes = PasswordFile(data_dir).scopes()
    if as_json:
        print_json({"passwords": [{"application": a, "scope": s.value} for a, s in scopes]})
        return
    for application, scope in scopes:
        console.print(f"{escape(application)}  [dim]{scope.value}[/]")


@password.command("revoke")
@password.command("remove", hidden=True)
def password_revoke(
    application: Annotated[str, typer.Argument(help="Whose password to take back.")],
    data_dir: DataDir,
) -> None:
    """Take a program's password back, at once."""
    from epost.daemon.mail_programs.passwords import PasswordFile

    PasswordFile(data_dir).remove(application)
    console.print(f"{escape(application)} can no longer log in.")


def client_settings(
    data_dir: DataDir,
    form: Annotated[Form, typer.Option("--format", help="What is to read it.")] = Form.TEXT,
    lan: Annotated[
        bool, typer.Option("--lan", help="For a phone in the LAN or VPN, not for this machine.")
    ] = False,
    add_password: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With qr: make a password of this name, and put it in."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where a mail program connects, also in the forms that programs read."""
    from epost.daemon.mail_programs import client_settings as forms

    if as_json and form is not Form.TEXT:
        stop(f"say --json or --format {form.value}, not both")
    section, settings = _settings(data_dir, lan)
    match Form.TEXT if as_json else form:
        case Form.TEXT:
            _show_settings(settings, _authority_file(data_dir, section, lan), as_json=as_json)
        case Form.AUTOCONFIG:
            sys.stdout.write(forms.as_autoconfig(settings).decode())
        case Form.MOBILECONFIG:
            authority = _authority_file(data_dir, section, lan)
            der = forms.authority_in(authority) if authority is not None else None
            sys.stdout.write(forms.as_profile(settings, der).decode())
        case Form.SRV:
            sys.stdout.write(forms.as_srv_records(settings))
        case Form.QR:
            token = ""
            if add_password is not None:
                token = _new_password(data_dir, add_password, PasswordScope.MAIL)
            _show_code(forms.as_code_for_phones(settings, token), add_password)


def _new_password(data_dir: Path, application: str, scope: PasswordScope) -> str:
    from epost.daemon.mail_programs.passwords import PasswordFile
    from epost.servers.access import Scope

    return PasswordFile(data_dir).add(application, Scope(scope.value))


def _settings(data_dir: Path, lan: bool) -> tuple[MailSection, ClientSettings]:
    from epost.daemon.folder import NodeFolder
    from epost.daemon.mail_programs import client_settings as forms
    from epost.daemon.mail_programs.passwords import PasswordFile

    section = NodeFolder(data_dir).read_config().mail
    account = PasswordFile(data_dir).account
    find = forms.settings_for_phones if lan else forms.settings_on_loopback
    return section, find(section, account)


def _authority_file(data_dir: Path, section: MailSection, lan: bool) -> Path | None:
    """Return the certificate to be trusted; None without TLS, or before the daemon has made it."""
    from epost.daemon.mail_programs.lan_tls import lan_ca_file
    from epost.daemon.mail_programs.loopback_tls import ca_file

    path = lan_ca_file(data_dir) if lan else ca_file(data_dir)
    return path if path.exists() and (lan or section.security != "plain") else None


def _show_settings(settings: ClientSettings, authority: Path | None, *, as_json: bool) -> None:
    rows = [(s.protocol, s.host, s.port, s.security) for s in settings.services]
    if as_json:
        names = ("protocol", "host", "port", "security")
        services = [dict(zip(names, row, strict=True)) for row in rows]
        trusted = None if authority is None else str(authority)
        print_json({"username": settings.account, "services": services, "ca_file": trusted})
        return
    table = Table("for", "host", "port", "security", title=f"Mail of {settings.account}")
    for protocol, host, port, security in rows:
        table.add_row(protocol.upper(), host, str(port), security)
    console.print(table)
    console.print(f"User name: {settings.account}")
    console.print("Password: one for each program, by: epost password add NAME")
    if authority is not None:
        console.print(f"Trust this authority in the program: {authority}", soft_wrap=True)


def _show_code(code: str, application: str | None) -> None:
    drawn = io.StringIO()
    segno.make(code, error="L").terminal(drawn, compact=True)
    console.print("Scan this with Thunderbird or K-9 on the phone (Import settings, QR code):\n")
    sys.stdout.write(drawn.getvalue() + "\n")
    if application is None:
        console.print("It asks for a password, made by: epost password add phone")
    else:
        console.print(
            f"It holds a password: let nobody else see it. To take it back: "
            f"epost password revoke {escape(application)}",
            soft_wrap=True,
        )
