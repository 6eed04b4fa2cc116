"""The commands of an organisation, as they are typed: quotas, invitations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.cli.organisation import org
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import system_world
from epost.foundation.errors import RefusedError
from epost.foundation.ids import Address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "authority"
    world = system_world()
    Authority.create(path, "example.org", Address("127.0.0.1", 4511), world).close()
    return path


def said(folder: Path, *words: str) -> dict[str, object]:
    result = CliRunner().invoke(
        org, [*words, "--authority-dir", str(folder), "--json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


def test_the_default_is_set_with_the_rest_of_the_policy(folder: Path) -> None:
    assert said(folder, "policy")["quota_mib"] == 0
    assert said(folder, "policy", "--quota", "50G")["quota_mib"] == 51_200
    assert said(folder, "policy", "--lease-days", "100")["quota_mib"] == 51_200
    assert said(folder, "policy", "--quota", "none")["quota_mib"] == 0


def test_a_stranger_and_a_strange_amount_are_refused_in_words(folder: Path) -> None:
    with pytest.raises(RefusedError, match="has no account here"):
        said(folder, "set-quota", "dave@example.org", "5G")
    with pytest.raises(RefusedError, match="'plenty' is no amount"):
        said(folder, "set-quota", "dave@example.org", "plenty")


def test_an_invitation_to_an_authority_on_loopback_says_that_nobody_else_reaches_it(
    folder: Path, tmp_path: Path
) -> None:
    def invited(authority_dir: Path) -> str:
        line = ["invite", "bob@example.org", "--authority-dir", str(authority_dir)]
        return CliRunner().invoke(app, line, catch_exceptions=False).stdout

    assert "only machines on this very computer" in invited(folder)
    world, reachable = system_world(), tmp_path / "reachable"
    Authority.create(reachable, "example.org", Address("192.168.1.5", 4511), world).close()
    assert "this very computer" not in invited(reachable)
