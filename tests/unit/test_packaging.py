"""The units of packaging/: they start what exists, as a user of its own."""

import configparser
import plistlib
from pathlib import Path

PACKAGING = Path(__file__).parents[2] / "packaging"


class _Unit(configparser.RawConfigParser):
    optionxform = str  # type: ignore[assignment]


def systemd_unit() -> configparser.SectionProxy:
    parser = _Unit(strict=False, interpolation=None, delimiters=("=",))
    parser.read(PACKAGING / "systemd" / "epost.service")
    return parser["Service"]


def test_the_systemd_unit_has_its_own_user_and_takes_rights_away() -> None:
    service = systemd_unit()
    assert service["User"] == service["Group"] == "epost"
    assert service["ExecStart"].split()[1:] == ["run", "--data-dir", "/var/lib/epost"]
    assert service["ReadWritePaths"] == "/var/lib/epost"
    assert service["CapabilityBoundingSet"] == ""
    for name in ("NoNewPrivileges", "PrivateTmp", "MemoryDenyWriteExecute", "ProtectHome"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["RestrictAddressFamilies"].split() == ["AF_INET", "AF_INET6", "AF_UNIX"]


def test_the_systemd_unit_leaves_the_owners_of_loopback_connections_visible() -> None:
    service = systemd_unit()
    assert "PrivateUsers" not in service
    assert "ProcSubset" not in service


def test_the_launchd_job_has_its_own_user_and_private_files() -> None:
    with (PACKAGING / "launchd" / "org.epost.daemon.plist").open("rb") as file:
        job = plistlib.load(file)
    assert job["UserName"] == "_epost"
    assert job["ProgramArguments"][1:] == ["run", "--data-dir", "/usr/local/var/epost"]
    assert job["Umask"] == 0o077
    assert job["HardResourceLimits"]["Core"] == 0
