"""Founding an organisation: what cannot be is said before anything is made."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from epost.daemon.config import NodeConfig, RingSection
from epost.daemon.joining.membership import found_organisation
from epost.daemon.joining.new_machine import NewMachine
from epost.foundation.errors import ConfigError, RefusedError

HERE = "127.0.0.1:0"


def refused(
    path: Path, *, user: str = "alice", listen: str = HERE, enrol: str = HERE, site: str = ""
) -> str:
    """What founding says; nothing is there afterwards."""
    machine = NewMachine(path / "node", listen, config=NodeConfig(ring=RingSection(site=site)))
    with pytest.raises((ConfigError, RefusedError)) as error:
        asyncio.run(
            found_organisation("example.org", user, machine, path / "authority", enrol_listen=enrol)
        )
    assert not list(path.iterdir())
    return str(error.value)


def test_addresses_and_names_are_looked_at_first(tmp_path: Path) -> None:
    assert "'foo' is not an address" in refused(tmp_path, listen="foo")
    assert "'bar' is not an address" in refused(tmp_path, enrol="bar")
    assert "say one that others can reach" in refused(tmp_path, enrol="0.0.0.0:4511")
    assert "is not a name" in refused(tmp_path, user="al ice")
    assert "[ring] site" in refused(tmp_path, site="x" * 1000)


def test_a_port_that_is_taken_is_named_by_its_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        assert "--listen: cannot listen on 127.0.0.1" in refused(tmp_path, listen=taken)
        assert "--enrol-listen: cannot listen on 127.0.0.1" in refused(tmp_path, enrol=taken)
