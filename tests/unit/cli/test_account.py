"""New words are put in force when they are written down, and not before."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from epost.cli.account import ASKED_FOR, _require_written
from epost.foundation.errors import ConfigError

WORDS = [f"word{number}" for number in range(1, 25)]
ASKING = typer.Typer()


@ASKING.command()
def ask() -> None:
    _require_written(WORDS)


def test_two_of_the_words_are_asked_for() -> None:
    said = "".join(f" {WORDS[number - 1].upper()} \n" for number in ASKED_FOR)
    assert CliRunner().invoke(ASKING, input=said).exit_code == 0


@pytest.mark.parametrize("said", ["word8\n", "word7\nword18\n"])
def test_another_word_changes_nothing(said: str) -> None:
    result = CliRunner().invoke(ASKING, input=said)
    assert isinstance(result.exception, ConfigError)
    assert "nothing was changed" in str(result.exception)
