"""The listeners with real TLS over loopback: nothing said in the clear counts afterwards."""

import asyncio
import imaplib
import poplib
import smtplib
import socket
import ssl
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from epost.apps.mail.delivery.submission import RecipientVerdict, Submitted
from epost.daemon.config import MailSection
from epost.daemon.demo.state import free_ports
from epost.daemon.mail_programs.autoconfig import PATHS
from epost.daemon.mail_programs.door import MailFronts
from epost.daemon.mail_programs.lan_tls import lan_ca_file
from epost.daemon.mail_programs.listeners import MailListeners, peer_check, uid_of
from epost.daemon.mail_programs.loopback_tls import ca_file
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.daemon.world import SystemClock
from epost.foundation.errors import ConfigError
from epost.foundation.spool import IN_MEMORY
from epost.servers.access import Scope
from tests.support.memory_mailstore import MemoryMail


class NoSubmission:
    """Knows nobody: these tests only log in."""

    async def check_sender(self, account: str, address: str) -> None:
        return None

    async def check_recipient(self, account: str, address: str) -> RecipientVerdict:
        return RecipientVerdict.UNKNOWN

    async def submit(self, *_: Any) -> Submitted:
        raise AssertionError("nobody submits here")


def serve(
    tmp_path: Path,
    security: str,
    conversation: Any,
    *,
    scope: Scope = Scope.MAIL,
    **more: str,
) -> None:
    """Serve SMTP and IMAP, and what `more` of the section says; the conversation gets the ports."""
    passwords = PasswordFile(tmp_path)
    passwords.create("alice@example.org")
    token = passwords.add("tests", scope)
    smtp, imap = free_ports(2)
    section = MailSection(
        smtp=f"127.0.0.1:{smtp}", imap=f"127.0.0.1:{imap}", security=security, **more
    )

    async def open_mail(_: str) -> MemoryMail:
        return MemoryMail()

    async def run() -> None:
        with ThreadPoolExecutor(2) as executor:
            listeners = MailListeners(
                section,
                tmp_path,
                MailFronts(NoSubmission(), open_mail, lambda: 0, IN_MEMORY),
                clock=SystemClock(),
                executor=executor,
            )
            listeners.bind()
            await listeners.start()
            try:
                await asyncio.to_thread(conversation, smtp, imap, token)
            finally:
                await listeners.close()

    asyncio.run(run())


def serve_pop3(tmp_path: Path, security: str, conversation: Any) -> None:
    """Serve all three ports; the conversation gets that of POP3."""
    (pop3,) = free_ports(1)
    serve(
        tmp_path,
        security,
        lambda _smtp, _imap, token: conversation(pop3, token),
        pop3=f"127.0.0.1:{pop3}",
    )


def trusted(tmp_path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file(tmp_path)))


def test_starttls_on_both_ports_and_no_login_before(tmp_path: Path) -> None:
    def talk(smtp: int, imap: int, token: str) -> None:
        with imaplib.IMAP4("127.0.0.1", imap, timeout=20) as client:
            with pytest.raises(imaplib.IMAP4.error):
                client.login("alice@example.org", token)
            client.starttls(trusted(tmp_path))
            assert client.login("alice@example.org", token)[0] == "OK"
            assert client.select()[0] == "OK"
        with smtplib.SMTP("127.0.0.1", smtp, timeout=20) as mailer:
            mailer.starttls(context=trusted(tmp_path))
            assert mailer.login("alice@example.org", token)[0] == 235

    serve(tmp_path, "starttls", talk)


def test_pop3_with_stls_and_no_login_before(tmp_path: Path) -> None:
    def talk(pop3: int, token: str) -> None:
        client = poplib.POP3("127.0.0.1", pop3, timeout=20)
        with pytest.raises(poplib.error_proto):
            client.user("alice@example.org")
        client.stls(trusted(tmp_path))
        client.user("alice@example.org")
        assert client.pass_(token) == b"+OK 0 messages, 0 octets"
        client.quit()

    serve_pop3(tmp_path, "starttls", talk)


def test_pop3_under_implicit_tls(tmp_path: Path) -> None:
    def talk(pop3: int, token: str) -> None:
        client = poplib.POP3_SSL("127.0.0.1", pop3, context=trusted(tmp_path), timeout=20)
        assert "SCRAM-SHA-256-PLUS" not in client.capa()["SASL"]
        client.user("alice")
        client.pass_(token)
        assert client.stat() == (0, 0)
        client.quit()

    serve_pop3(tmp_path, "tls", talk)


def test_implicit_tls_on_both_ports(tmp_path: Path) -> None:
    def talk(smtp: int, imap: int, token: str) -> None:
        with imaplib.IMAP4_SSL(
            "127.0.0.1", imap, ssl_context=trusted(tmp_path), timeout=20
        ) as client:
            assert "AUTH=SCRAM-SHA-256-PLUS" in client.capabilities
            assert client.login("alice", token)[0] == "OK"
        with smtplib.SMTP_SSL("127.0.0.1", smtp, context=trusted(tmp_path), timeout=20) as mailer:
            mailer.ehlo()
            # mutt would choose -PLUS, fail, and not try another
            assert mailer.esmtp_features["auth"].split() == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
            assert mailer.login("alice@example.org", token)[0] == 235

    serve(tmp_path, "tls", talk)


def test_commands_sent_along_with_starttls_in_the_clear_are_never_performed(
    tmp_path: Path,
) -> None:
    def talk(_: int, imap: int, token: str) -> None:
        with socket.create_connection(("127.0.0.1", imap), timeout=20) as plain:
            assert b"OK" in plain.recv(4096)
            plain.sendall(b"a STARTTLS\r\nb NOOP\r\n")
            received = b""
            while b"a OK" not in received:
                received += plain.recv(4096)
            assert b"b " not in received
            with trusted(tmp_path).wrap_socket(plain, server_hostname="localhost") as secured:
                secured.sendall(b"c NOOP\r\n")
                answer = secured.recv(4096)
        assert answer.startswith(b"c OK")

    serve(tmp_path, "starttls", talk)


def test_plain_logins_are_offered_on_loopback_only() -> None:
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ConfigError, match='security = "tls"'):
            peer_check(MailSection(imap="0.0.0.0:1143"), executor)
        assert peer_check(MailSection(), executor)


def test_users_served_besides_are_named_by_name() -> None:
    assert uid_of("root") == 0
    with pytest.raises(ConfigError, match="no local user 'nobody-of-that-name'"):
        uid_of("nobody-of-that-name")


def test_a_password_for_reading_changes_and_sends_nothing(tmp_path: Path) -> None:
    (port,) = free_ports(1)

    def talk(smtp: int, imap: int, token: str) -> None:
        with imaplib.IMAP4("127.0.0.1", imap, timeout=20) as client:
            assert client.login("alice@example.org", token)[0] == "OK"
            assert client.select(readonly=True)[0] == "OK"
            assert client.search(None, "ALL")[0] == "OK"
            for refused in (client.create("More"), client.append("INBOX", "", "", b"X: y\r\n\r\n")):
                assert refused[0] == "NO"
                assert b"NOPERM" in refused[1][0]
        mailer = smtplib.SMTP("127.0.0.1", smtp, timeout=20)
        with mailer, pytest.raises(smtplib.SMTPAuthenticationError):
            mailer.login("alice@example.org", token)
        taker = poplib.POP3("127.0.0.1", port, timeout=20)
        taker.user("alice@example.org")
        taker.pass_(token)
        with pytest.raises(poplib.error_proto, match="reading only"):
            taker.dele(1)
        taker.quit()

    serve(tmp_path, "plain", talk, scope=Scope.READ_ONLY, pop3=f"127.0.0.1:{port}")


def test_a_password_for_sending_reads_nothing(tmp_path: Path) -> None:
    def talk(smtp: int, imap: int, token: str) -> None:
        with smtplib.SMTP("127.0.0.1", smtp, timeout=20) as mailer:
            assert mailer.login("alice@example.org", token)[0] == 235
        client = imaplib.IMAP4("127.0.0.1", imap, timeout=20)
        with client, pytest.raises(imaplib.IMAP4.error):
            client.login("alice@example.org", token)

    serve(tmp_path, "plain", talk, scope=Scope.SUBMIT)


def test_phones_are_served_at_ports_of_their_own_with_tls(tmp_path: Path) -> None:
    lan_smtp, lan_imap = free_ports(2)

    def talk(_smtp: int, imap: int, token: str) -> None:
        trust = ssl.create_default_context(cafile=str(lan_ca_file(tmp_path)))
        with imaplib.IMAP4_SSL("127.0.0.2", lan_imap, ssl_context=trust, timeout=20) as client:
            assert client.login("alice@example.org", token)[0] == "OK"
        with smtplib.SMTP_SSL("127.0.0.2", lan_smtp, context=trust, timeout=20) as mailer:
            assert mailer.login("alice@example.org", token)[0] == 235
            assert mailer.has_extn("requiretls")
        with imaplib.IMAP4("127.0.0.1", imap, timeout=20) as client:
            assert client.login("alice@example.org", token)[0] == "OK"

    lan = {"lan_smtp": f"127.0.0.2:{lan_smtp}", "lan_imap": f"127.0.0.2:{lan_imap}"}
    serve(tmp_path, "plain", talk, **lan)


def test_phones_need_both_ports(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set both or none"):
        serve(tmp_path, "plain", lambda *_: None, lan_smtp="127.0.0.2:4465")


def test_thunderbirds_file_is_served_at_its_well_known_paths(tmp_path: Path) -> None:
    (port,) = free_ports(1)

    def talk(_smtp: int, imap: int, _token: str) -> None:
        for path in PATHS:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                assert answer.headers["content-type"].startswith("application/xml")
                assert f"<port>{imap}</port>".encode() in answer.read()

    serve(tmp_path, "plain", talk, autoconfig=f"127.0.0.1:{port}")


def test_a_port_that_is_taken_is_named_and_the_others_are_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for _ in range(2):
            with pytest.raises(ConfigError, match="autoconfig"):
                serve(tmp_path, "plain", lambda *_: None, autoconfig=f"127.0.0.1:{port}")
