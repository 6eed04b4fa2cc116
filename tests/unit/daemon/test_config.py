"""The configuration file: defaults that work, and errors that say what to do."""

from pathlib import Path

import pytest

from epost.daemon.config import NodeConfig, load_config, parse_address, render_config
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address


def test_no_file_means_all_defaults(tmp_path: Path) -> None:
    assert load_config(tmp_path / "absent.toml") == NodeConfig()


def test_the_printed_defaults_read_back_as_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(render_config(NodeConfig()))
    assert load_config(path) == NodeConfig()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[mail]\nsmpt = '127.0.0.1:25'", r"config\.toml.*smpt"),
        ("[typo]\na = 1", r"config\.toml.*typo"),
        ("[storage]\nrepair_delay_seconds = 0", r"config\.toml.*>= 1"),
        ("[mail]\nsecurity = 'ssl3'", r"config\.toml.*ssl3"),
        ("[ring]\nlisten = 'nowhere'", r"config\.toml.*'nowhere' is not an address"),
        ("[ring", r"config\.toml.*not valid TOML"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_config(path)


def test_addresses_are_host_and_port() -> None:
    assert parse_address("[::1]:25") == Address("::1", 25)
    assert parse_address("mail.example.org:4510") == Address("mail.example.org", 4510)
    for bad in ("x", "x:", ":1", "x:70000", "x:-1"):
        with pytest.raises(ConfigError):
            parse_address(bad)
