"""What goes wrong is said in one line, without a trace of the program."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from epost import cli
from epost.daemon.demo.run import run_demo
from epost.daemon.files import locked


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["epost", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    return capsys.readouterr().err


def test_what_the_system_refuses_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    error = said(capsys, monkeypatch, "password", "list", "--data-dir", str(file))
    assert error == f"epost: {file}/passwords: Not a directory\n"


def test_what_epost_refuses_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = said(capsys, monkeypatch, "status", "--data-dir", str(tmp_path))
    assert error.startswith(f"epost: {tmp_path} is not the folder of a member.")
    assert error.count("\n") == 1


def test_a_file_that_is_no_text_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "words").write_bytes(b"\xff\xfe\0")
    words = ("--words-file", str(tmp_path / "words"))
    error = said(capsys, monkeypatch, "recover", "epost1:x", *words)
    assert error == f"epost: {tmp_path}/words: this is not a text file\n"
    (tmp_path / "config.toml").write_bytes(b'[mail]\nlan_name = "b\xfcro"\n')
    error = said(capsys, monkeypatch, "run", "--data-dir", str(tmp_path))
    assert error == f"epost: {tmp_path}/config.toml: this is not a text in UTF-8\n"


@pytest.mark.parametrize("at", ["noon", "0001-01-01T00:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_outside_the_calendar_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    (tmp_path / "membership").touch()
    error = said(capsys, monkeypatch, "folder", "INBOX", "--data-dir", str(tmp_path), "--at", at)
    assert error.startswith("epost: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [(), ("bob@example.org", "--storage-only"), ("--storage-only", "--another-machine")],
)
def test_an_invitation_is_for_one_kind_of_machine(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    at = ("--authority-dir", str(tmp_path))
    assert "--storage-only" in said(capsys, monkeypatch, "invite", *arguments, *at)


def test_without_a_demo_restart_node_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ("--dir", str(tmp_path))
    error = said(capsys, monkeypatch, "demo", "restart-node", "alice", *at)
    assert f"no demo runs on {tmp_path}. Start it: epost demo --dir {tmp_path}" in error


@pytest.mark.parametrize("users", ["", "alice,Alice", "storage-1", "../alice", "al ice"])
def test_a_demo_whose_users_cannot_be_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, users: str
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["epost", "demo", "--users", users, "--dir", str(tmp_path), "--once"]
    )
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert "The demo failed" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["demo.lock"]


def test_one_demo_runs_on_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path / "demo.lock"):
        assert run_demo(tmp_path, nodes=1, users=["a"], once=True, repair_delay_seconds=20) == 1
    assert "another epost works with this folder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), "a: No space left on device"),
        (OSError("lost"), "lost"),
        (OSError(), "OSError"),
    ],
)
def test_the_words_are_those_of_the_system(error: OSError, text: str) -> None:
    assert cli.words_of(error) == text
