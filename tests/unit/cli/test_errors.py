"""What goes wrong is said in one line, without a trace of the program."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from epost import cli


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
