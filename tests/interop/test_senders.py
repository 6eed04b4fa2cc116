"""msmtp and swaks submit: plainly, pipelined, with reports, with an attachment, refused.

They read no mail: what they sent is read by others.
"""

import email
from pathlib import Path

import pytest

from tests.support.demo import RunningDemo, compose, eventually
from tests.support.mail_programs import needs, run, uids

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(300)]


def msmtp_settings(demo: RunningDemo, user: str, home: Path) -> Path:
    node = demo.node(user)
    path = home / "msmtprc"
    path.write_text(
        f"""
account epost
host {node["smtp"]["host"]}
port {node["smtp"]["port"]}
auth plain
user {node["username"]}
password {node["password"]}
from {node["user"]}
tls off
"""
    )
    path.chmod(0o600)
    return path


@needs("msmtp")
def test_msmtp_submits_octet_for_octet_and_gets_the_report_that_it_asks_for(
    demo: RunningDemo, tmp_path: Path
) -> None:
    settings = msmtp_settings(demo, "alice", tmp_path)
    message_id, octets = compose(  # with an attachment
        "alice@example.org", ["bob@example.org"], size=40_000, subject="by msmtp"
    )
    run(
        "msmtp", "-C", str(settings), "-a", "epost",
        "--dsn-notify=success,failure", "--dsn-return=headers", "bob@example.org",
        home=tmp_path, stdin=octets.decode().replace("\r\n", "\n"),
    )  # fmt: skip
    assert demo.wait_for("bob", message_id) == octets
    with demo.imap("alice") as alice:
        criteria = ("SUBJECT", '"Mail delivered: bob@example.org"', "TEXT", '"by msmtp"')
        eventually(lambda: uids(alice, "INBOX", *criteria), "the report of the delivery")
        (uid,) = uids(alice, "INBOX", *criteria)
        report = email.message_from_bytes(
            alice.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1][0][1]
        )
    assert report.get_content_type() == "multipart/report"
    status = report.get_payload()[1].get_payload()[1]
    assert (status["Action"], status["Final-Recipient"]) == ("delivered", "rfc822; bob@example.org")
    assert "sha256=" in status["X-ePOST-Receipt"], "it rests on the receipt that bob signed"


@needs("swaks")
def test_swaks_submits_pipelined_with_an_attachment(demo: RunningDemo, tmp_path: Path) -> None:
    node = demo.node("alice")
    attachment = tmp_path / "numbers.bin"
    attachment.write_bytes(bytes(range(256)) * 100)
    said = run(
        "swaks", "--server", node["smtp"]["host"], "--port", str(node["smtp"]["port"]),
        "--auth", "PLAIN", "--auth-user", node["username"], "--auth-password", node["password"],
        "--pipeline", "--from", node["user"], "--to", "bob@example.org,carol@example.org",
        "--header", "Subject: by swaks", "--body", "Hello.", "--attach", f"@{attachment}",
        home=tmp_path,
    ).stdout  # fmt: skip
    assert "250 2.0.0 ring-durable" in said or "250 2.0.0 held locally" in said
    for name in ("bob", "carol"):
        with demo.imap(name) as client:
            eventually(
                lambda client=client: uids(client, "INBOX", "SUBJECT", '"by swaks"'), "the mail"
            )
            (uid, *_) = uids(client, "INBOX", "SUBJECT", '"by swaks"')
            mail = email.message_from_bytes(
                client.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1][0][1]
            )
        parts = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
        assert attachment.read_bytes() in parts


@needs("swaks")
def test_swaks_is_told_what_is_wrong_with_a_recipient(demo: RunningDemo, tmp_path: Path) -> None:
    node = demo.node("alice")
    said = run(
        "swaks", "--server", node["smtp"]["host"], "--port", str(node["smtp"]["port"]),
        "--auth", "LOGIN", "--auth-user", node["username"], "--auth-password", node["password"],
        "--from", node["user"], "--to", "nobody@example.org", "--quit-after", "RCPT",
        home=tmp_path, may_end_with=(24,),
    ).stdout  # fmt: skip
    assert "550 5.1.1 nobody here has this address" in said
