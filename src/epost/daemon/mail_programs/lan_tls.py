"""TLS for phones in the LAN or VPN: an authority of this installation, and its certificates.

The authority may certify nothing but the names it was made for: trusted, it is trusted with nothing
else. Its key stays beside the server's own, which is worth as much to a thief: phones refuse
certificates of more than 825 days, and a new one must not ask for trust again.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from epost.daemon.files import make_private_folder, write_private
from epost.daemon.mail_programs.server_certificates import (
    certificate_in,
    make_authority,
    make_leaf,
    private_pem,
    tls_server,
)

LEAF_DAYS_VALID = 397
RENEWED_DAYS_BEFORE = 60
_PEM = serialization.Encoding.PEM


def lan_server_context(data_dir: Path, hosts: Sequence[str]) -> ssl.SSLContext:
    """Return the context for phones; makes what is missing, soon over, or for other hosts."""
    folder = data_dir / "tls-lan"
    names = tuple(dict.fromkeys(hosts))
    if not _is_for(folder / "ca.pem", names):
        _make_authority(folder, names)
    if not _is_for(folder / "server.pem", names) or _is_nearly_over(folder / "server.pem"):
        _make_leaf(folder, names)
    return tls_server(folder / "server.pem")


def lan_ca_file(data_dir: Path) -> Path:
    """Return the certificate that a phone must be told to trust."""
    return data_dir / "tls-lan" / "ca.pem"


def lan_certificate(data_dir: Path) -> Path:
    """Return the file with the server's own certificate."""
    return data_dir / "tls-lan" / "server.pem"


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _permitted(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(host))
    except ValueError:
        return x509.DNSName(host)


def _is_for(path: Path, names: tuple[str, ...]) -> bool:
    if not path.exists():
        return False
    certificate = certificate_in(path)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        return constraints.value.permitted_subtrees == [_permitted(name) for name in names]
    except x509.ExtensionNotFound:
        own = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return list(own.value) == [_general_name(name) for name in names]


def _is_nearly_over(path: Path) -> bool:
    left = certificate_in(path).not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left < datetime.timedelta(days=RENEWED_DAYS_BEFORE)


def _make_authority(folder: Path, names: tuple[str, ...]) -> None:
    make_private_folder(folder)
    (folder / "ca.pem").unlink(missing_ok=True)  # never beside the key of another
    key = ec.generate_private_key(ec.SECP256R1())
    common = f"ePOST on {names[0]}"
    ca = make_authority(common, key, [_permitted(name) for name in names])
    write_private(folder / "ca.key", private_pem(key))
    write_private(folder / "ca.pem", ca.public_bytes(_PEM))
    (folder / "server.pem").unlink(missing_ok=True)


def _make_leaf(folder: Path, names: tuple[str, ...]) -> None:
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    ca = certificate_in(folder / "ca.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = make_leaf(
        ca.subject,
        ca_key,
        key.public_key(),
        [_general_name(name) for name in names],
        days=LEAF_DAYS_VALID,
    )
    write_private(folder / "server.pem", private_pem(key) + leaf.public_bytes(_PEM))
