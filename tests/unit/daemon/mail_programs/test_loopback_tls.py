"""The certificate for the user's own mail programs."""

import ssl
from pathlib import Path

import pytest

from epost.daemon.mail_programs.loopback_tls import ca_file, server_context


def _talk(context: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """One TLS handshake in memory; raises if either side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    caller = client.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (caller, server, caller, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert caller.version() is not None


def test_a_client_that_trusts_our_file_talks_to_localhost_only(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    client = ssl.create_default_context(cafile=str(ca_file(tmp_path)))
    for name in ("localhost", "127.0.0.1"):
        _talk(context, client, name)
    for name in ("example.com", "192.0.2.1"):
        with pytest.raises(ssl.SSLCertVerificationError):
            _talk(context, client, name)


def test_the_certificate_is_made_once_and_its_authority_s_key_is_nowhere(tmp_path: Path) -> None:
    server_context(tmp_path)
    before = (tmp_path / "tls" / "server.pem").read_bytes()
    server_context(tmp_path)
    assert (tmp_path / "tls" / "server.pem").read_bytes() == before
    keys = [f for f in (tmp_path / "tls").iterdir() if b"PRIVATE KEY" in f.read_bytes()]
    assert [f.name for f in keys] == ["server.pem"]
    assert all(f.stat().st_mode & 0o077 == 0 for f in (tmp_path / "tls").iterdir())
