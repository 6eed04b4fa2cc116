"""fetchmail and getmail take mail away, by POP3 and by IMAP, and then find nothing to do.

They neither send, search, flag nor move by themselves, but that fetchmail's mail counts as seen.
"""

from __future__ import annotations

import poplib
from pathlib import Path

import pytest

from tests.support.demo import RunningDemo, compose
from tests.support.mail_programs import needs, run, uids

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(300)]

NOTHING_TO_FETCH = 1
"""What fetchmail ends with when there was no mail."""


def send(demo: RunningDemo, subject: str, count: int = 3) -> list[bytes]:
    """Send carol some mails and wait until they are there; return their octets."""
    sent = []
    for number in range(count):
        message_id, octets = compose(
            "alice@example.org", ["carol@example.org"], subject=f"{subject} {number}"
        )
        demo.send("alice", ["carol"], octets)
        demo.wait_for("carol", message_id)
        sent.append(octets)
    return sent


def keeper_in(home: Path) -> Path:
    """Return a script that keeps every mail it is handed in a file of its own."""
    (home / "mail").mkdir(exist_ok=True)
    keeper = home / "keep"
    keeper.write_text(f'#!/bin/sh\ncat > "$(mktemp {home}/mail/XXXXXXXX)"\n')
    keeper.chmod(0o700)
    return keeper


def fetchmail_settings(demo: RunningDemo, protocol: str, home: Path, options: str) -> Path:
    node = demo.node("carol")
    path = home / "fetchmailrc"
    path.write_text(
        f"""
set idfile {home}/ids
poll {node[protocol]["host"]} service {node[protocol]["port"]} protocol {protocol}
  {"uidl" if protocol == "pop3" else ""} auth password
  user "{node["username"]}" password "{node["password"]}" sslproto "" {options}
  mda "{keeper_in(home)}"
"""
    )
    path.chmod(0o600)
    return path


def fetchmail(settings: Path, home: Path, *, finds_mail: bool) -> None:
    expected = 0 if finds_mail else NOTHING_TO_FETCH
    # Run as root it would keep its lock at one place of the machine, and find itself running.
    lock = home / "fetchmail.pid"
    run(
        "fetchmail", "--nodetach", "--nosyslog", "--pidfile", str(lock), "-f", str(settings), "-v",
        home=home, may_end_with=(expected,),
    )  # fmt: skip


def mails_in(home: Path) -> list[str]:
    return [path.read_text() for path in (home / "mail").rglob("*") if path.is_file()]


@needs("fetchmail")
@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetchmail_keeps_mail_on_the_server_and_does_not_fetch_it_twice(
    demo: RunningDemo, tmp_path: Path, protocol: str
) -> None:
    send(demo, f"for fetchmail by {protocol}")
    settings = fetchmail_settings(demo, protocol, tmp_path, "keep")
    fetchmail(settings, tmp_path, finds_mail=True)
    fetched = [mail for mail in mails_in(tmp_path) if f"for fetchmail by {protocol}" in mail]
    assert len(fetched) == 3
    fetchmail(settings, tmp_path, finds_mail=False)
    send(demo, f"for fetchmail by {protocol} later", 1)
    before = len(mails_in(tmp_path))
    fetchmail(settings, tmp_path, finds_mail=True)
    assert len(mails_in(tmp_path)) == before + 1
    with demo.imap("carol") as carol:
        assert len(uids(carol, "INBOX", "SUBJECT", f'"for fetchmail by {protocol}"', "SEEN")) == 4


@needs("fetchmail")
def test_fetchmail_empties_the_maildrop_by_pop3(demo: RunningDemo, tmp_path: Path) -> None:
    send(demo, "to be taken away")
    with demo.imap("carol") as carol:
        here = len(uids(carol, "INBOX", "ALL"))
        settings = fetchmail_settings(demo, "pop3", tmp_path, "fetchall nokeep")
        fetchmail(settings, tmp_path, finds_mail=True)
        assert len(mails_in(tmp_path)) == here
        assert not uids(carol, "INBOX", "ALL")


def getmail_settings(demo: RunningDemo, protocol: str, home: Path) -> Path:
    node = demo.node("carol")
    retriever = {"pop3": "SimplePOP3Retriever", "imap": "SimpleIMAPRetriever"}[protocol]
    path = home / "getmailrc"
    path.write_text(
        f"""
[retriever]
type = {retriever}
server = {node[protocol]["host"]}
port = {node[protocol]["port"]}
username = {node["username"]}
password = {node["password"]}

[destination]
type = MDA_external
path = {keeper_in(home)}
allow_root_commands = true

[options]
read_all = false
delete = false
delivered_to = false
received = false
"""
    )
    return path


@needs("getmail")
@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_getmail_fetches_octets_and_then_has_nothing_to_do(
    demo: RunningDemo, tmp_path: Path, protocol: str
) -> None:
    sent = send(demo, f"for getmail by {protocol}")
    settings = getmail_settings(demo, protocol, tmp_path)
    command = ("getmail", "--getmaildir", str(tmp_path), "--rcfile", str(settings))
    run(*command, home=tmp_path)
    fetched = mails_in(tmp_path)
    for octets in sent:
        (found,) = [mail for mail in fetched if message_id(octets.decode()) in mail]
        # getmail writes local line ends and adds fields of its own
        own = ("Return-Path: ", "X-getmail-")
        kept = [line for line in found.split("\n") if not line.startswith(own)]
        assert kept == octets.decode().split("\r\n")
    told = run(*command, home=tmp_path).stdout
    assert " 0 messages (0 bytes) retrieved" in told
    assert mails_in(tmp_path) == fetched


def message_id(mail: str) -> str:
    return next(line for line in mail.splitlines() if line.lower().startswith("message-id:"))


def test_the_standard_library_takes_mail_away_and_its_marks_end_with_quit(
    demo: RunningDemo,
) -> None:
    (sent,) = send(demo, "for poplib", 1)
    node = demo.node("carol")

    def connected() -> poplib.POP3:
        client = poplib.POP3(node["pop3"]["host"], node["pop3"]["port"], timeout=60)
        client.utf8()
        client.user(node["username"])
        return client

    def log_in() -> poplib.POP3:
        client = connected()
        client.pass_(node["password"])
        return client

    client = log_in()
    assert {"UIDL", "TOP", "PIPELINING", "RESP-CODES"} <= client.capa().keys()
    number = client.stat()[0]
    _, lines, size = client.retr(number)
    assert b"\r\n".join(lines) + b"\r\n" == sent
    assert size == len(sent)
    name = client.uidl(number).split()[-1]
    second = connected()
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        second.pass_(node["password"])
    second.quit()
    client.dele(number)
    client.close()  # without QUIT: nothing is removed
    client = log_in()
    assert client.uidl(number).split()[-1] == name
    client.dele(number)
    client.quit()
    with demo.imap("carol") as carol:
        assert not uids(carol, "INBOX", "SUBJECT", '"for poplib"')
