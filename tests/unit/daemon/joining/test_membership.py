"""Founding an organisation: what cannot be is said before anything is made."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from epost.daemon.config import NodeConfig, RingSection
from epost.daemon.demo.state import free_ports
from epost.daemon.folder import NodeFolder
from epost.daemon.joining.membership import found_organisation
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.settling import Joined
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.foundation.errors import ConfigError, RefusedError
from epost.servers.access.passwords import derive_record

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


def test_words_that_a_crash_kept_from_their_owner_are_shown_the_next_time(tmp_path: Path) -> None:
    (port,) = free_ports(1)

    def found() -> Joined:
        machine = NewMachine(tmp_path / "node", HERE)
        founding = found_organisation(
            "example.org",
            "alice",
            machine,
            tmp_path / "authority",
            enrol_listen=f"127.0.0.1:{port}",
        )
        return asyncio.run(founding)

    folder = NodeFolder(tmp_path / "node")
    joined = found()
    seen = found()  # nobody saw what was returned
    assert seen == replace(joined, password=seen.password)
    assert len(seen.recovery_words.split()) == 24
    (password,) = PasswordFile(folder.path).passwords_of("alice").passwords
    assert derive_record(seen.password, password.record.salt) == password.record
    folder.forget_enrolment()
    assert folder.enrolments() == []
    with pytest.raises(ConfigError, match="already"):
        found()
