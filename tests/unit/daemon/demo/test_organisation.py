"""Which machines of a demo can be started on a folder that somebody changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from epost.daemon.config import NodeConfig
from epost.daemon.demo.check import check_mail
from epost.daemon.demo.organisation import DemoOrganisation
from epost.daemon.demo.state import DemoNode, DemoState, mail_section, node_folder, save_state
from epost.daemon.files import make_private_folder
from epost.daemon.folder import NodeFolder
from epost.foundation.errors import ConfigError, UnavailableError

NODES = [
    DemoNode(name=name, user=f"{name}@example.org", ring_port=1, metrics_port=4, node_id="00")
    for name in ("alice", "bob")
]
STATE = DemoState(domain="example.org", enrolment_port=5, nodes=NODES)


def resumed(directory: Path) -> DemoOrganisation:
    """A demo whose two users were enrolled before, as far as this needs."""
    save_state(directory, STATE)
    for node in NODES:
        folder = NodeFolder(make_private_folder(node_folder(directory, node.name)))
        folder.write_config(NodeConfig(mail=mail_section(STATE, node)))
        (folder.path / "membership").touch()
    return DemoOrganisation(directory, 20.0)


def test_a_users_machine_that_was_erased_is_lost_and_the_others_start(tmp_path: Path) -> None:
    organisation = resumed(tmp_path)
    assert [node.name for node in organisation.startable()] == ["alice", "bob"]
    shutil.rmtree(node_folder(tmp_path, "bob"))
    assert [node.name for node in organisation.startable()] == ["alice"]
    assert [node.name for node in organisation.lost()] == ["bob"]


def test_settings_that_cannot_be_read_are_no_loss_and_are_named(tmp_path: Path) -> None:
    organisation = resumed(tmp_path)
    file = node_folder(tmp_path, "bob") / "config.toml"
    file.write_text('[mail]\nsecurity = "none"\n')
    with pytest.raises(ConfigError, match=r"config\.toml: Invalid enum value 'none'"):
        organisation.startable()


def test_without_any_user_there_is_nothing_to_check(tmp_path: Path) -> None:
    resumed(tmp_path)
    with pytest.raises(UnavailableError, match="no machine of a user is left"):
        check_mail(tmp_path, STATE, NODES, lambda _: None)
