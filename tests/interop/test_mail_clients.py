"""Unmodified mail programs against the demo: send, read, flag, move, delete, see each other."""

import contextlib
import email
import imaplib
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.demo import RunningDemo, compose, eventually
from tests.support.mail_programs import needs, run, uids

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(300)]


def mutt_settings(demo: RunningDemo, user: str, home: Path) -> Path:
    node = demo.node(user)
    imap, smtp = node["imap"], node["smtp"]
    login = node["username"].replace("@", "%40")
    path = home / "muttrc"
    path.write_text(
        f"""
set folder = "imap://{login}@{imap["host"]}:{imap["port"]}/"
set spoolfile = "+INBOX"
set imap_pass = "{node["password"]}"
set smtp_url = "smtp://{login}@{smtp["host"]}:{smtp["port"]}/"
set smtp_pass = "{node["password"]}"
set smtp_authenticators = "plain"
set imap_authenticators = "login"
set from = "{node["user"]}"
set use_from = yes
set envelope_from_address = "{node["user"]}"
set realname = "Test"
set ssl_starttls = no
set ssl_force_tls = no
set record = "+Sent"
set confirmappend = no
set delete = yes
set mark_old = no
set timeout = 5
set mail_check = 1
set hostname = example.org
"""
    )
    return path


@needs("mutt")
def test_mutt_sends_an_attachment_reads_searches_flags_moves_deletes_and_has_nothing_to_do(
    demo: RunningDemo, tmp_path: Path
) -> None:
    settings = mutt_settings(demo, "alice", tmp_path)
    (tmp_path / "numbers.bin").write_bytes(bytes(range(256)) * 100)
    run(
        "mutt", "-n", "-F", str(settings), "-s", "sent by mutt", "-e", "set copy=yes",
        "-a", str(tmp_path / "numbers.bin"), "--", "bob@example.org",
        home=tmp_path, stdin="Hello from mutt.\n",
    )  # fmt: skip
    with demo.imap("bob") as bob:
        eventually(lambda: uids(bob, "INBOX", "SUBJECT", "mutt"), "mutt's mail at bob")
        assert (tmp_path / "numbers.bin").read_bytes() in _parts(bob, "SUBJECT", "mutt")
    with demo.imap("alice") as alice:
        assert uids(alice, "Sent", "SUBJECT", "mutt")
    reading = mutt_settings(demo, "bob", tmp_path)
    search = "<limit>=b mutt.<enter>"  # the server looks in the bodies
    _mutt_screen(
        reading,
        f"push '{search}<display-message><exit><flag-message><sync-mailbox><quit>'",
        tmp_path,
    )
    with demo.imap("bob") as bob:
        criteria = ("SUBJECT", "mutt", "FLAGGED", "SEEN")
        eventually(lambda: uids(bob, "INBOX", *criteria), "the flags that mutt set")
        assert len(uids(bob, "INBOX", "FLAGGED")) == 1, "none but what the search found"
    _mutt_screen(reading, f"push '{search}<save-message>+Archive<enter><quit>'", tmp_path)
    with demo.imap("bob") as bob:
        eventually(lambda: uids(bob, "Archive", *criteria), "the mail that mutt moved")
        eventually(lambda: not uids(bob, "INBOX", "SUBJECT", "mutt"), "it to be gone from here")
        before = bob.status("Archive", "(MESSAGES UIDNEXT HIGHESTMODSEQ)")
        in_archive = "push '<change-folder>+Archive<enter>"
        _mutt_screen(reading, f"{in_archive}<sync-mailbox><quit>'", tmp_path)
        assert bob.status("Archive", "(MESSAGES UIDNEXT HIGHESTMODSEQ)") == before
        keys = f"{in_archive}<limit>~s mutt<enter><delete-message><sync-mailbox><quit>'"
        _mutt_screen(reading, keys, tmp_path)
        eventually(lambda: not uids(bob, "Archive", "SUBJECT", "mutt"), "the mail to be gone")


def _parts(client: imaplib.IMAP4, *criteria: str) -> list[bytes | None]:
    """The decoded parts of the newest mail of the INBOX that a search finds."""
    uid = uids(client, "INBOX", *criteria)[-1].decode()
    mail = email.message_from_bytes(client.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1])
    return [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]


def _mutt_screen(settings: Path, keys: str, home: Path) -> None:
    """Drive mutt's screen: it wants a terminal, `script` gives it one."""
    command = f'mutt -n -F {settings} -e "{keys}"'
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["script", "-qec", command, "/dev/null"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C"},
            check=False,
        )


@needs("mbsync")
def test_mbsync_copies_a_mailbox_carries_changes_both_ways_and_then_has_nothing_to_do(
    demo: RunningDemo, tmp_path: Path
) -> None:
    """Reads, flags, moves; mbsync neither sends nor searches by itself."""
    sent = []
    for number in range(5):
        message_id, octets = compose(
            "alice@example.org", ["carol@example.org"], subject=f"to be synced {number}"
        )
        demo.send("alice", ["carol"], octets)
        sent.append(message_id)
    for message_id in sent:
        demo.wait_for("carol", message_id)
    settings = _mbsync_settings(demo, "carol", tmp_path)
    run("mbsync", "-c", str(settings), "carol", home=tmp_path)
    local = {p.read_bytes() for p in (tmp_path / "mail" / "INBOX").glob("*/*") if p.is_file()}
    assert len(local) >= 5
    with demo.imap("carol") as carol:
        (first, *_) = uids(carol, "INBOX", "SUBJECT", '"synced 0"')
        carol.uid("STORE", first.decode(), "+FLAGS", r"(\Flagged \Seen)")
    run("mbsync", "-c", str(settings), "carol", home=tmp_path)
    flagged = [p for p in (tmp_path / "mail" / "INBOX").glob("*/*") if ":2,FS" in p.name]
    assert len(flagged) == 1
    seen = flagged[0]
    new_name = next(
        p
        for p in (tmp_path / "mail" / "INBOX").glob("*/*")
        if p != seen and p.is_file() and b"to be synced" in p.read_bytes()
    )
    target = tmp_path / "mail" / "INBOX" / "cur" / (new_name.name.partition(":2,")[0] + ":2,RS")
    new_name.rename(target)
    run("mbsync", "-c", str(settings), "carol", home=tmp_path)
    with demo.imap("carol") as carol:
        assert uids(carol, "INBOX", "ANSWERED")
    name = target.name.partition(",U=")[0] + ":2,RS"
    target.rename(tmp_path / "mail" / "Archive" / "cur" / name)  # as a program moves it here
    run("mbsync", "-c", str(settings), "carol", home=tmp_path)
    with demo.imap("carol") as carol:
        assert uids(carol, "Archive", "SUBJECT", '"to be synced"', "ANSWERED")
        assert not uids(carol, "INBOX", "ANSWERED")
    run("mbsync", "-c", str(settings), "carol", home=tmp_path)  # the moved one gets its name
    before = sorted(p.name for p in (tmp_path / "mail").rglob("*"))
    run("mbsync", "-c", str(settings), "carol", home=tmp_path)
    assert sorted(p.name for p in (tmp_path / "mail").rglob("*")) == before


def _mbsync_settings(demo: RunningDemo, user: str, home: Path) -> Path:
    node = demo.node(user)
    (home / "mail").mkdir()
    path = home / "mbsyncrc"
    path.write_text(
        f"""
IMAPAccount {user}
Host {node["imap"]["host"]}
Port {node["imap"]["port"]}
User {node["username"]}
Pass {node["password"]}
SSLType None
AuthMechs LOGIN

IMAPStore {user}-remote
Account {user}

MaildirStore {user}-local
Path {home}/mail/
Inbox {home}/mail/INBOX
SubFolders Verbatim

Channel {user}
Far :{user}-remote:
Near :{user}-local:
Patterns *
Create Near
Expunge Both
SyncState *
"""
    )
    return path


@needs("curl")
def test_curl_sends_searches_fetches_flags_and_moves(demo: RunningDemo, tmp_path: Path) -> None:
    alice, bob = demo.node("alice"), demo.node("bob")
    message_id, octets = compose(alice["user"], [bob["user"]], subject="sent by curl")
    mail = tmp_path / "mail.eml"
    mail.write_bytes(octets)
    run(
        "curl", "-sS", f"smtp://{alice['smtp']['host']}:{alice['smtp']['port']}/client.example.org",
        "--user", f"{alice['username']}:{alice['password']}",
        "--mail-from", alice["user"], "--mail-rcpt", bob["user"], "--upload-file", str(mail),
        home=tmp_path,
    )  # fmt: skip
    demo.wait_for("bob", message_id)
    base = f"imap://{bob['imap']['host']}:{bob['imap']['port']}"
    login = f"{bob['username']}:{bob['password']}"
    found = run(
        "curl", "-sS", f"{base}/INBOX?HEADER%20Message-ID%20{message_id.strip('<>')}",
        "--user", login, home=tmp_path,
    ).stdout  # fmt: skip
    number = found.split()[-1]
    output = tmp_path / "fetched.eml"
    run(
        "curl", "-sS", f"{base}/INBOX;MAILINDEX={number}", "--user", login, "-o", str(output),
        home=tmp_path,
    )  # fmt: skip
    assert output.read_bytes() == octets
    flag, move = f"STORE {number} +FLAGS.SILENT (\\Flagged)", f"MOVE {number} Archive"
    for command in (flag, move, "NOOP"):
        run("curl", "-sS", f"{base}/INBOX", "--user", login, "-X", command, home=tmp_path)
    with demo.imap("bob") as client:
        assert uids(client, "Archive", "HEADER", "Message-ID", message_id, "FLAGGED")
        assert not uids(client, "INBOX", "HEADER", "Message-ID", message_id)


@needs("curl")
def test_curl_sends_an_attachment(demo: RunningDemo, tmp_path: Path) -> None:
    alice, bob = demo.node("alice"), demo.node("bob")
    (tmp_path / "numbers.bin").write_bytes(bytes(range(256)) * 100)
    run(
        "curl", "-sS", f"smtp://{alice['smtp']['host']}:{alice['smtp']['port']}/client.example.org",
        "--user", f"{alice['username']}:{alice['password']}",
        "--mail-from", alice["user"], "--mail-rcpt", bob["user"],
        "-H", f"From: {alice['user']}", "-H", f"To: {bob['user']}", "-H", "Subject: form of curl",
        "-F", "=Hello.;type=text/plain", "-F", f"=@{tmp_path}/numbers.bin;encoder=base64",
        home=tmp_path,
    )  # fmt: skip
    with demo.imap("bob") as client:
        eventually(lambda: uids(client, "INBOX", "SUBJECT", '"form of curl"'), "curl's mail")
        parts = _parts(client, "SUBJECT", '"form of curl"')
        assert (tmp_path / "numbers.bin").read_bytes() in parts


def test_the_standard_library_moves_deletes_and_another_session_hears_it_by_idle(
    demo: RunningDemo,
) -> None:
    message_id, octets = compose("alice@example.org", ["bob@example.org"], subject="idle and move")
    heard: list[bytes] = []
    with demo.imap("bob") as watcher:
        watcher.select("INBOX")
        watcher.send(b"idle1 IDLE\r\n")
        assert watcher.readline().startswith(b"+")

        def listen() -> None:
            while not any(b"EXISTS" in line for line in heard):
                heard.append(watcher.readline())
            while not any(b"EXPUNGE" in line for line in heard):
                heard.append(watcher.readline())

        thread = threading.Thread(target=listen)
        thread.start()
        demo.send("alice", ["bob"], octets)
        demo.wait_for("bob", message_id)
        with demo.imap("bob") as other:
            (uid,) = uids(other, "INBOX", "HEADER", "Message-ID", message_id)
            assert other.uid("STORE", uid.decode(), "+FLAGS", r"(\Seen)")[0] == "OK"
            assert other.uid("MOVE", uid.decode(), "Archive")[0] == "OK"
            (moved,) = uids(other, "Archive", "HEADER", "Message-ID", message_id)
            assert other.uid("FETCH", moved.decode(), "(BODY.PEEK[])")[1][0][1] == octets
            other.uid("STORE", moved.decode(), "+FLAGS", r"(\Deleted)")
            other.expunge()
            assert not uids(other, "Archive", "HEADER", "Message-ID", message_id)
        thread.join(timeout=60)
        assert not thread.is_alive(), heard
        watcher.send(b"DONE\r\n")
        while not watcher.readline().startswith(b"idle1 "):
            pass
    assert any(b"FETCH" in line and b"Seen" in line for line in heard)


def test_bcc_reaches_its_recipient_and_shows_to_nobody(demo: RunningDemo) -> None:
    message_id, octets = compose("alice@example.org", ["bob@example.org"], subject="with bcc")
    octets = b"Bcc: carol@example.org\r\n" + octets
    demo.send("alice", ["bob", "carol"], octets)
    for name in ("bob", "carol"):
        got = demo.wait_for(name, message_id)
        assert b"carol@example.org" not in got
        assert got == octets.replace(b"Bcc: carol@example.org\r\n", b"")


def test_unknown_users_and_other_domains_are_refused_at_rcpt(demo: RunningDemo) -> None:
    with demo.smtp("alice") as client:
        client.mail("alice@example.org")
        code, text = client.rcpt("nobody@example.org")
        assert (code, b"5.1.1" in text) == (550, True)
        code, text = client.rcpt("someone@elsewhere.example")
        assert code == 550
        assert b"gateway" in text
        client.rset()
        code, _ = client.mail("bob@example.org")
        assert code == 550


def test_a_from_that_is_not_hers_is_refused(demo: RunningDemo) -> None:
    _, octets = compose("bob@example.org", ["bob@example.org"])
    with demo.smtp("alice") as client:
        client.mail("alice@example.org")
        client.rcpt("bob@example.org")
        code, text = client.data(octets)
    assert code == 550, text


def test_a_wrong_password_is_refused_and_slowed(demo: RunningDemo) -> None:
    node = demo.node("carol")
    client = imaplib.IMAP4(node["imap"]["host"], node["imap"]["port"], timeout=60)
    with pytest.raises(imaplib.IMAP4.error):
        client.login(node["username"], "not the password")
    client.shutdown()
