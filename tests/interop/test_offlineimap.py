"""offlineimap against the demo: folders and flags both ways, and then nothing to do.

It neither sends nor searches by itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.demo import RunningDemo, compose
from tests.support.mail_programs import needs, run, uids

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(300)]


def settings_for(demo: RunningDemo, user: str, home: Path) -> Path:
    node = demo.node(user)
    path = home / "offlineimaprc"
    path.write_text(
        f"""
[general]
accounts = here
metadata = {home}/state
ui = quiet

[Account here]
localrepository = local
remoterepository = remote

[Repository local]
type = Maildir
localfolders = {home}/mail
sep = /

[Repository remote]
type = IMAP
remotehost = {node["imap"]["host"]}
remoteport = {node["imap"]["port"]}
remoteuser = {node["username"]}
remotepass = {node["password"]}
ssl = no
starttls = no
expunge = yes
"""
    )
    return path


def synced(settings: Path, home: Path) -> None:
    run("offlineimap", "-c", str(settings), "-o", "-1", home=home)


def mails_in(home: Path, folder: str) -> list[Path]:
    return [path for path in (home / "mail" / folder).glob("*/*") if path.is_file()]


@needs("offlineimap")
def test_offlineimap_copies_flags_moves_and_then_has_nothing_to_do(
    demo: RunningDemo, tmp_path: Path
) -> None:
    for number in range(3):
        message_id, octets = compose(
            "alice@example.org", ["carol@example.org"], subject=f"for offlineimap {number}"
        )
        demo.send("alice", ["carol"], octets)
        demo.wait_for("carol", message_id)
    settings = settings_for(demo, "carol", tmp_path)
    synced(settings, tmp_path)
    here = {p: p.read_text() for p in mails_in(tmp_path, "INBOX")}
    mine = sorted(p for p, text in here.items() if "for offlineimap" in text)
    assert len(mine) == 3
    with demo.imap("carol") as carol:
        (first,) = uids(carol, "INBOX", "SUBJECT", '"for offlineimap 0"')
        carol.uid("STORE", first.decode(), "+FLAGS", r"(\Flagged)")
        (second,) = uids(carol, "INBOX", "SUBJECT", '"for offlineimap 1"')
        carol.uid("MOVE", second.decode(), "Archive")
    synced(settings, tmp_path)
    (flagged,) = [p for p in mails_in(tmp_path, "INBOX") if "offlineimap 0" in p.read_text()]
    assert "F" in flagged.name.partition(":2,")[2]
    archived = [p for p in mails_in(tmp_path, "Archive") if "offlineimap 1" in p.read_text()]
    assert len(archived) == 1
    # the other way: one is read here, another is moved to a new folder here
    (last,) = [p for p in mails_in(tmp_path, "INBOX") if "offlineimap 2" in p.read_text()]
    last.rename(last.parent.parent / "cur" / (last.name.partition(":2,")[0] + ":2,RS"))
    for part in ("cur", "new", "tmp"):
        (tmp_path / "mail" / "Made here" / part).mkdir(parents=True)
    archived[0].rename(tmp_path / "mail" / "Made here" / "cur" / "1234.local:2,S")
    synced(settings, tmp_path)
    with demo.imap("carol") as carol:
        assert uids(carol, "INBOX", "SUBJECT", '"for offlineimap 2"', "ANSWERED", "SEEN")
        assert uids(carol, '"Made here"', "SUBJECT", '"for offlineimap 1"')
        assert not uids(carol, "Archive", "SUBJECT", '"for offlineimap 1"')
        before = sorted(p.name for p in (tmp_path / "mail").rglob("*"))
        modseq = carol.status("INBOX", "(HIGHESTMODSEQ UIDNEXT)")
        synced(settings, tmp_path)
        assert sorted(p.name for p in (tmp_path / "mail").rglob("*")) == before
        assert carol.status("INBOX", "(HIGHESTMODSEQ UIDNEXT)") == modseq
