"""TLS for the user's own mail programs: one certificate for localhost, its authority forgotten.

The authority is made for this installation alone, may certify nothing but loopback names, signs
one certificate, and its private key is never written: nobody can ever abuse it.
"""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from epost.daemon.files import make_private_folder, write_private
from epost.daemon.mail_programs.server_certificates import (
    make_authority,
    make_leaf,
    private_pem,
    tls_server,
)

LEAF_DAYS_VALID = 3650
HOSTS = ("127.0.0.1", "::1")


def server_context(data_dir: Path) -> ssl.SSLContext:
    """Return the context of the client-facing listeners, making the certificate once."""
    folder = data_dir / "tls"
    if not (folder / "server.pem").exists():
        _make(folder)
    return tls_server(folder / "server.pem")


def server_certificate(data_dir: Path) -> Path:
    """Return the file with the server's own certificate."""
    return data_dir / "tls" / "server.pem"


def ca_file(data_dir: Path) -> Path:
    """Return the certificate that a mail program must be told to trust."""
    return data_dir / "tls" / "ca.pem"


def _make(folder: Path) -> None:
    make_private_folder(folder)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    permitted = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
        x509.IPAddress(ipaddress.ip_network("::1/128")),
    ]
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(h)) for h in HOSTS)]
    ca = make_authority("ePOST on this computer", ca_key, permitted)
    leaf = make_leaf(ca.subject, ca_key, key.public_key(), names, days=LEAF_DAYS_VALID)
    write_private(folder / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))
    # Written last: its presence says that the set is whole.
    write_private(
        folder / "server.pem", private_pem(key) + leaf.public_bytes(serialization.Encoding.PEM)
    )
