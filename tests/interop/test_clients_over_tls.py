"""The same programs where the connection is encrypted, set up as docs/clients.md says.

Each must find the certificate good, log in by what it chooses itself, send, and read.
"""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.demo import compose, eventually, running_demo
from tests.support.mail_programs import needs, run

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(300)]

HANDSHAKES = 60


@dataclass(frozen=True)
class Office:
    """Alice's daemon, whose ports are kept by TLS."""

    node: dict[str, Any]
    implicit: bool

    @property
    def trusted(self) -> str:
        return str(self.node["imap"]["ca_file"])

    @property
    def login(self) -> str:
        return f"{self.node['username']}:{self.node['password']}"

    def url(self, protocol: str) -> str:
        """Where a service is; a name, as some programs compare nothing else."""
        scheme = protocol + "s" if self.implicit else protocol
        return f"{scheme}://localhost:{self.node[protocol]['port']}"

    def connected(self) -> imaplib.IMAP4:
        context = ssl.create_default_context(cafile=self.trusted)
        port = self.node["imap"]["port"]
        if self.implicit:
            return imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=60)
        client = imaplib.IMAP4("localhost", port, timeout=60)
        client.starttls(context)
        return client

    def has(self, subject: str) -> bool:
        with self.connected() as client:
            client.login(self.node["username"], self.node["password"])
            client.select("INBOX", readonly=True)
            return bool(client.search(None, "SUBJECT", f'"{subject}"')[1][0])


@pytest.fixture(scope="module", params=["tls", "starttls"])
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with running_demo(tmp_path_factory.mktemp("demo"), nodes=1, users="alice") as demo:
        config = Path(demo.node("alice")["data_dir"]) / "config.toml"
        plain = config.read_text()
        assert 'security = "plain"' in plain
        config.write_text(plain.replace('security = "plain"', f'security = "{request.param}"'))
        demo.stop("alice")
        result = demo.restart("alice")
        assert result.returncode == 0, result.stderr
        node = demo.node("alice")
        assert {node[name]["security"] for name in ("smtp", "imap", "pop3")} == {request.param}
        yield Office(node, implicit=request.param == "tls")


def test_a_client_that_begins_tls_at_once_is_always_understood(office: Office) -> None:
    for _ in range(HANDSHAKES):
        office.connected().shutdown()


@needs("curl")
def test_curl_sends_and_reads_by_both_protocols(office: Office, tmp_path: Path) -> None:
    address = office.node["user"]
    _, octets = compose(address, [address], subject="sealed by curl")
    (tmp_path / "mail.eml").write_bytes(octets)
    common = ("--ssl-reqd", "--cacert", office.trusted, "--user", office.login)
    run(
        "curl", "-sS", *common, f"{office.url('smtp')}/here", "--mail-from", address,
        "--mail-rcpt", address, "--upload-file", str(tmp_path / "mail.eml"), home=tmp_path,
    )  # fmt: skip
    eventually(lambda: office.has("sealed by curl"), "curl's mail")
    for protocol, place in (("imap", "INBOX;MAILINDEX=1"), ("pop3", "1")):
        run(
            "curl",
            "-sS",
            *common,
            f"{office.url(protocol)}/{place}",
            "-o",
            str(tmp_path / "got"),
            home=tmp_path,
        )


@needs("msmtp")
@pytest.mark.parametrize("mechanism", ["on", "plain", "scram-sha-256"])
def test_msmtp_sends(office: Office, tmp_path: Path, mechanism: str) -> None:
    node, settings = office.node, tmp_path / "msmtprc"
    settings.write_text(
        f"""
account epost
host 127.0.0.1
port {node["smtp"]["port"]}
auth {mechanism}
user {node["username"]}
password {node["password"]}
from {node["user"]}
tls on
tls_starttls {"off" if office.implicit else "on"}
tls_trust_file {office.trusted}
"""
    )
    settings.chmod(0o600)
    _, octets = compose(node["user"], [node["user"]], subject=f"sealed by msmtp {mechanism}")
    run(
        "msmtp", "-C", str(settings), "-a", "epost", node["user"],
        home=tmp_path, stdin=octets.decode().replace("\r\n", "\n"),
    )  # fmt: skip
    eventually(lambda: office.has(f"sealed by msmtp {mechanism}"), "msmtp's mail")


@needs("mutt")
def test_mutt_sends_by_the_mechanism_that_it_chooses(office: Office, tmp_path: Path) -> None:
    node = office.node
    name = node["username"].replace("@", "%40")
    (tmp_path / "muttrc").write_text(
        f"""
set smtp_url = "{office.url("smtp").replace("//", f"//{name}@")}/"
set smtp_pass = "{node["password"]}"
set certificate_file = "{office.trusted}"
set ssl_force_tls = yes
set from = "{node["user"]}"
set use_from = yes
set envelope_from_address = "{node["user"]}"
set copy = no
"""
    )
    run(
        "mutt", "-n", "-F", str(tmp_path / "muttrc"), "-s", "sealed by mutt", "--", node["user"],
        home=tmp_path, stdin="Hello.\n",
    )  # fmt: skip
    eventually(lambda: office.has("sealed by mutt"), "mutt's mail")


@needs("mbsync")
def test_mbsync_reads(office: Office, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mbsyncrc").write_text(
        f"""
IMAPAccount alice
Host localhost
Port {office.node["imap"]["port"]}
User {office.node["username"]}
Pass {office.node["password"]}
SSLType {"IMAPS" if office.implicit else "STARTTLS"}
CertificateFile {office.trusted}

IMAPStore far
Account alice

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX

Channel alice
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *
"""
    )
    run("mbsync", "-c", str(tmp_path / "mbsyncrc"), "alice", home=tmp_path)
    assert any(path.is_file() for path in (tmp_path / "mail" / "INBOX").glob("*/*"))


@needs("fetchmail")
def test_fetchmail_reads(office: Office, tmp_path: Path) -> None:
    settings = tmp_path / "fetchmailrc"
    settings.write_text(
        f"""
poll localhost service {office.node["pop3"]["port"]} protocol pop3
  user "{office.node["username"]}" password "{office.node["password"]}"
  {"ssl" if office.implicit else 'sslproto "tls1.2+"'} sslcertck sslcertfile "{office.trusted}"
  keep fetchall mda "cat >> {tmp_path}/mails"
"""
    )
    settings.chmod(0o600)
    run("fetchmail", "-f", str(settings), "--pidfile", str(tmp_path / "pid"), home=tmp_path)
    assert "Subject: " in (tmp_path / "mails").read_text()
