"""Certificates for phones in the LAN or VPN."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from epost.daemon.mail_programs import lan_tls
from epost.daemon.mail_programs.lan_tls import lan_ca_file, lan_certificate, lan_server_context
from epost.daemon.mail_programs.server_certificates import certificate_in
from tests.unit.daemon.mail_programs.test_loopback_tls import _talk

HOSTS = ("laptop.home.arpa", "192.168.1.5")


def test_a_phone_that_trusts_the_authority_talks_to_this_machine_only(tmp_path: Path) -> None:
    context = lan_server_context(tmp_path, HOSTS)
    phone = ssl.create_default_context(cafile=str(lan_ca_file(tmp_path)))
    for name in HOSTS:
        _talk(context, phone, name)
    for name in ("localhost", "192.168.1.6", "example.org"):
        with pytest.raises(ssl.SSLCertVerificationError):
            _talk(context, phone, name)


def test_the_authority_may_certify_nothing_else_and_phones_accept_the_life_of_its_leaf(
    tmp_path: Path,
) -> None:
    lan_server_context(tmp_path, HOSTS)
    authority = certificate_in(lan_ca_file(tmp_path))
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [str(name.value) for name in constraints.value.permitted_subtrees or ()] == [
        "laptop.home.arpa",
        "192.168.1.5/32",
    ]
    leaf = certificate_in(lan_certificate(tmp_path))
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert life < datetime.timedelta(days=825)
    assert (tmp_path / "tls-lan" / "ca.key").stat().st_mode & 0o777 == 0o600


def test_a_leaf_that_is_nearly_over_is_made_anew_under_the_same_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lan_server_context(tmp_path, HOSTS)
    authority = lan_ca_file(tmp_path).read_bytes()
    leaf = lan_certificate(tmp_path).read_bytes()
    lan_server_context(tmp_path, HOSTS)
    assert lan_certificate(tmp_path).read_bytes() == leaf
    monkeypatch.setattr(lan_tls, "RENEWED_DAYS_BEFORE", 400)
    lan_server_context(tmp_path, HOSTS)
    assert lan_certificate(tmp_path).read_bytes() != leaf
    assert lan_ca_file(tmp_path).read_bytes() == authority


def test_other_hosts_need_another_authority(tmp_path: Path) -> None:
    lan_server_context(tmp_path, HOSTS)
    authority = lan_ca_file(tmp_path).read_bytes()
    context = lan_server_context(tmp_path, ["10.0.0.1"])
    assert lan_ca_file(tmp_path).read_bytes() != authority
    phone = ssl.create_default_context(cafile=str(lan_ca_file(tmp_path)))
    _talk(context, phone, "10.0.0.1")
