"""What a demo tells mail programs about the machines of its users."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from epost.daemon.config import NodeConfig
from epost.daemon.demo.mail import read_back, submit
from epost.daemon.demo.state import (
    DemoNode,
    DemoState,
    MailService,
    free_ports,
    mail_section,
    mail_services,
    node_folder,
)
from epost.daemon.files import make_private_folder
from epost.daemon.folder import NodeFolder
from epost.foundation.errors import ConfigError, UnavailableError

ALICE = DemoNode(
    name="alice", user="alice@example.org", ring_port=1, smtp_port=2, imap_port=3, metrics_port=4
)
STATE = DemoState(domain="example.org", enrolment_port=5, nodes=[ALICE])


def settled(directory: Path) -> NodeFolder:
    """Alice's folder, as an enrolment leaves it for this purpose."""
    folder = NodeFolder(make_private_folder(node_folder(directory, "alice")))
    folder.write_config(NodeConfig(mail=mail_section(STATE, ALICE)))
    (folder.path / "membership").write_bytes(b"")
    return folder


def test_a_machine_serves_as_the_demo_made_it(tmp_path: Path) -> None:
    settled(tmp_path)
    services = mail_services(tmp_path, STATE, ALICE)
    assert list(services) == ["smtp", "imap"], "a folder that is older than POP3"
    assert services["imap"] == MailService(host="127.0.0.1", port=3, security="plain")
    assert services["smtp"].port == 2


def test_settings_that_somebody_changed_are_those_that_are_told(tmp_path: Path) -> None:
    folder = settled(tmp_path)
    mail = mail_section(STATE, ALICE)
    edited = msgspec.structs.replace(mail, security="starttls", imap="127.0.0.1:99")
    folder.write_config(NodeConfig(mail=edited))
    services = mail_services(tmp_path, STATE, ALICE)
    trusted = str(folder.path / "tls" / "ca.pem")
    assert services["imap"] == MailService(
        host="127.0.0.1", port=99, security="starttls", ca_file=trusted
    )


def test_settings_that_cannot_be_read_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = settled(tmp_path)
    (folder.path / "config.toml").write_text('[mail]\nsecurity = "none"\n')
    with pytest.raises(ConfigError, match=r"config\.toml"):
        mail_services(tmp_path, STATE, ALICE)


def test_a_machine_that_lost_its_disk_is_told_as_it_was_made(tmp_path: Path) -> None:
    assert mail_services(tmp_path, STATE, ALICE)["smtp"].port == 2


@pytest.mark.parametrize("security", ["plain", "starttls", "tls"])
def test_what_a_mail_program_meets_is_said_in_a_sentence(security: str) -> None:
    service = MailService(host="127.0.0.1", port=free_ports(1)[0], security=security)
    said = rf"cannot work with 127\.0\.0\.1:{service.port} \({security}\)"
    with pytest.raises(UnavailableError, match=said):
        submit(service, "a@example.org", "x", ["b@example.org"], b"")
    with pytest.raises(UnavailableError, match=said):
        read_back(service, "a@example.org", "x", "<1@x>", timeout_seconds=1)
