"""Thunderbird without a screen: set up by our autoconfig, it reads, flags, moves and sends."""

import email
from pathlib import Path

import pytest

from tests.support.demo import RunningDemo, compose, epost, eventually
from tests.support.mail_programs import needs, uids
from tests.support.thunderbird import thunderbird

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(300)]


@needs("thunderbird")
def test_thunderbird_is_set_up_by_autoconfig_and_reads_flags_moves_searches_and_sends(
    demo: RunningDemo, tmp_path: Path
) -> None:
    node = demo.node("bob")
    for number in range(3):
        message_id, octets = compose(
            "alice@example.org", ["bob@example.org"], subject=f"for Thunderbird {number}"
        )
        demo.send("alice", ["bob"], octets)
        demo.wait_for("bob", message_id)
    settings = epost("client-settings", "--format", "autoconfig", "--data-dir", node["data_dir"])
    attachment = tmp_path / "numbers.bin"
    attachment.write_bytes(bytes(range(256)) * 200)
    with thunderbird(tmp_path) as program:
        host, imap, smtp = program.do("setUp", settings.stdout, node["user"], node["password"])
        assert (host, imap, smtp) == ("127.0.0.1", node["imap"]["port"], node["smtp"]["port"])
        seen = program.do("sync")
        assert {f"for Thunderbird {n}" for n in range(3)} <= set(seen)
        read = program.do("read", "for Thunderbird 2").encode("latin-1")
        assert read == octets
        assert "for Thunderbird 1" in program.do("search", "Hello")
        program.do("flag", "for Thunderbird 0")
        program.do("move", "for Thunderbird 1", "Archive")
        program.do("send", "alice@example.org", "by Thunderbird", "hello\n", str(attachment))
        eventually(
            lambda: any(subject.startswith("Mail delivered") for subject in program.do("sync")),
            "the report it asked for",
        )
        synced = program.do("sync")
        assert "for Thunderbird 1" not in synced
        assert program.do("sync") == synced, "nothing is left to do"
    with demo.imap("bob") as bob:
        flagged = '"Thunderbird 0"'
        eventually(
            lambda: uids(bob, "INBOX", "SUBJECT", flagged, "FLAGGED", "SEEN"), "the flags it set"
        )
        assert uids(bob, "Archive", "SUBJECT", '"Thunderbird 1"')
        assert uids(bob, "Sent", "SUBJECT", '"by Thunderbird"')
    with demo.imap("alice") as alice:
        eventually(lambda: uids(alice, "INBOX", "SUBJECT", '"by Thunderbird"'), "its mail")
        (uid,) = uids(alice, "INBOX", "SUBJECT", '"by Thunderbird"')
        mail = email.message_from_bytes(alice.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1][0][1])
    (part,) = [part for part in mail.walk() if part.get_filename() == "numbers.bin"]
    assert part.get_payload(decode=True) == attachment.read_bytes()
