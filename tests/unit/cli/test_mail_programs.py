"""The commands that set up mail programs."""

import json
import plistlib
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.config import MailSection, NodeConfig
from epost.daemon.folder import NodeFolder
from epost.daemon.mail_programs.lan_tls import lan_server_context
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.foundation.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    PasswordFile(tmp_path).create("alice@example.org")
    lan = MailSection(lan_smtp="192.168.1.5:4465", lan_imap="192.168.1.5:4993")
    NodeFolder(tmp_path).write_config(NodeConfig(mail=lan))
    return tmp_path


def say(folder: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(app, [*arguments, "--data-dir", str(folder)])
    assert result.exit_code == 0, result.output
    return result


def test_passwords_are_made_with_a_scope_listed_and_revoked(folder: Path) -> None:
    made = json.loads(
        say(folder, "password", "add", "archive", "--scope", "read-only", "--json").output
    )
    assert made["scope"] == "read-only"
    say(folder, "password", "add", "mutt")
    listed = say(folder, "password", "list").output
    assert "archive  read-only" in listed
    assert "mutt  mail" in listed
    say(folder, "password", "revoke", "archive")
    say(folder, "password", "remove", "mutt")
    assert json.loads(say(folder, "password", "list", "--json").output) == {"passwords": []}


def test_a_password_that_takes_the_place_of_another_says_so(folder: Path) -> None:
    assert "former" not in say(folder, "password", "add", "phone").output
    assert (
        "The former password for phone has ended." in say(folder, "password", "add", "phone").output
    )


def test_a_name_is_shown_as_it_was_given(folder: Path) -> None:
    assert "Password for [bold]phone," in say(folder, "password", "add", "[bold]phone").output
    assert "[bold]phone  mail" in say(folder, "password", "list").output
    assert "[bold]phone can no longer" in say(folder, "password", "revoke", "[bold]phone").output


def test_one_form_is_asked_for_at_a_time(folder: Path) -> None:
    with pytest.raises(ConfigError, match="not both"):
        CliRunner().invoke(
            app,
            ["client-settings", "--json", "--format", "srv", "--data-dir", str(folder)],
            catch_exceptions=False,
        )


def test_settings_are_shown_to_people_and_programs(folder: Path) -> None:
    shown = say(folder, "client-settings").output
    assert "alice@example.org" in shown
    assert "1143" in shown
    told = json.loads(say(folder, "client-settings", "--lan", "--json").output)
    assert told["services"][0] == {
        "protocol": "imap",
        "host": "192.168.1.5",
        "port": 4993,
        "security": "tls",
    }
    assert told["ca_file"] is None, "the daemon has not made it yet"
    lan_server_context(folder, ["192.168.1.5"])
    assert json.loads(say(folder, "client-settings", "--lan", "--json").output)["ca_file"]
    assert "Trust this authority" in say(folder, "client-settings", "--lan").output
    assert "<clientConfig" in say(folder, "client-settings", "--format", "autoconfig").output
    assert "IN SRV" in say(folder, "client-settings", "--format", "srv").output
    profile = say(folder, "client-settings", "--lan", "--format", "mobileconfig").output
    assert len(plistlib.loads(profile.encode())["PayloadContent"]) == 2


def test_the_code_for_a_phone_may_hold_a_password_of_its_own(folder: Path) -> None:
    assert "password add phone" in say(folder, "client-settings", "--lan", "--format", "qr").output
    shown = say(
        folder, "client-settings", "--lan", "--format", "qr", "--add-password", "phone"
    ).output
    assert "epost password revoke phone" in shown
    assert [name for name, _ in PasswordFile(folder).scopes()] == ["phone"]
