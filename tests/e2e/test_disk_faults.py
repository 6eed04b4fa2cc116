"""Disks that forget, rot and fill up: the mail survives, nobody else is disturbed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.demo import RunningDemo, compose, running_demo
from tests.support.disks import small_disk
from tests.support.imap_wire import imap_wire

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(600)]

TINY_DISK_MIB = 44
"""A little more than what a daemon keeps free for small records and its index."""
LARGER_DISK_MIB = 128


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    path = tmp_path_factory.mktemp("disks")
    with running_demo(path, nodes=4, users="alice,bob") as running:
        yield running


def snapshot(demo: RunningDemo, user: str) -> dict[str, object]:
    """Return all that a mail program knows of a mailbox: numbers, flags and octets."""
    known: dict[str, object] = {}
    with demo.imap(user) as client:
        for folder in ("INBOX", "Archive"):
            (status,) = client.status(folder, "(MESSAGES UIDVALIDITY UIDNEXT)")[1]
            client.select(folder, readonly=True)
            flags = client.uid("FETCH", "1:*", "(FLAGS)")[1]
            known[folder] = status, sorted(map(settled_flags, filter(None, flags)))
    with imap_wire(demo.node(user)) as wire:
        for folder in ("INBOX", "Archive"):
            wire.command(b"EXAMINE " + folder.encode())
            known[f"{folder} octets"] = wire.fetch("1:*")
    return known


def settled_flags(fetched: bytes) -> bytes:
    """Return UID and flags without the message number and \\Recent, which is of a session."""
    return fetched.partition(b" ")[2].replace(rb" \Recent", b"").replace(rb"\Recent", b"")


def fill_mailbox(demo: RunningDemo, sender: str, reader: str) -> None:
    """Have mails of several sizes arrive; move, flag and expunge some."""
    sent = []
    for size in (1_000, 20_000, 60_000, 400_000, 2_000, 3_000):
        message_id, octets = compose(demo.address(sender), [demo.address(reader)], size=size)
        demo.send(sender, [reader], octets)
        sent.append(message_id)
    for message_id in sent:
        demo.wait_for(reader, message_id)
    with demo.imap(reader) as client:
        client.select("INBOX")
        uids = client.uid("SEARCH", "ALL")[1][0].decode().split()
        client.uid("STORE", uids[0], "+FLAGS", r"(\Flagged $Keep)")
        client.uid("MOVE", uids[1], "Archive")
        client.uid("STORE", uids[2], "+FLAGS", r"(\Deleted)")
        client.expunge()


def log_of(demo: RunningDemo, name: str) -> str:
    return Path(demo.node(name)["log_file"]).read_text(errors="replace")


def rot(demo: RunningDemo, name: str, random: Random) -> int:
    """Flip a bit in every stored body of a node that does not run; return how many."""
    vault = Path(demo.node(name)["data_dir"]) / "vault"
    with contextlib.closing(sqlite3.connect(vault / "vault.db")) as database, database:
        rows = database.execute("SELECT id, body FROM bodies WHERE body IS NOT NULL").fetchall()
        flipped = [(flip(body, random), key) for key, body in rows]
        database.executemany("UPDATE bodies SET body = ? WHERE id = ?", flipped)
    files = list((vault / "bodies").iterdir())
    for path in files:
        path.write_bytes(flip(path.read_bytes(), random))
    return len(rows) + len(files)


def flip(octets: bytes, random: Random) -> bytes:
    damaged = bytearray(octets)
    damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


@pytest.mark.parametrize("loss", ["deleted", "overwritten with garbage"])
def test_an_index_that_is_lost_is_rebuilt_with_the_same_numbers(
    four: RunningDemo, loss: str
) -> None:
    fill_mailbox(four, "alice", "bob")
    before = snapshot(four, "bob")
    four.kill("bob")
    index = Path(four.node("bob")["data_dir"]) / "index.db"
    for path in index.parent.glob("index.db*"):
        if loss == "deleted":
            path.unlink()
        else:
            path.write_bytes(os.urandom(path.stat().st_size))
    assert four.restart("bob").returncode == 0
    assert snapshot(four, "bob") == before


def test_a_storage_machine_without_room_refuses_and_others_stand_in(four: RunningDemo) -> None:
    four.kill("storage-2")
    config = Path(four.node("storage-2")["data_dir"]) / "config.toml"
    roomy = config.read_text()
    smallest = f"contributed_bytes = {64 * 2**20}"
    config.write_text(roomy.replace(f"contributed_bytes = {2 * 2**30}", smallest))
    assert smallest in config.read_text()
    assert four.restart("storage-2").returncode == 0
    try:
        four.wait_until_whole()
        for size in (5_000, 100_000, 500_000):
            message_id, octets = compose("alice@example.org", ["bob@example.org"], size=size)
            assert "ring-durable: on 3 of 3 machines" in four.send("alice", ["bob"], octets)
            assert four.wait_for("bob", message_id) == octets
    finally:
        four.kill("storage-2")
        config.write_text(roomy)
        assert four.restart("storage-2").returncode == 0


def test_rotten_blocks_are_read_from_other_machines_and_mended(four: RunningDemo) -> None:
    fill_mailbox(four, "alice", "bob")
    before = snapshot(four, "bob")
    random = Random(7)
    four.kill("bob", "storage-1")
    assert min(rot(four, name, random) for name in ("bob", "storage-1")) > 5
    for name in ("storage-1", "bob"):
        result = four.restart(name)
        assert result.returncode == 0, result.stderr + log_of(four, name)[-3000:]
    four.wait_until_whole()  # the others may not have noticed yet that they are back
    message_id, octets = compose("alice@example.org", ["bob@example.org"], size=50_000)
    assert "ring-durable" in four.send("alice", ["bob"], octets)
    assert four.wait_for("bob", message_id) == octets
    after = snapshot(four, "bob")
    for folder in ("INBOX", "Archive"):
        for uid, mail in before[f"{folder} octets"].items():
            assert after[f"{folder} octets"][uid] == mail
    assert "WARNING BlockDamaged" in log_of(four, "bob")
    four.stop(*four.names())  # what was read was mended: alone, its own disk suffices
    assert four.restart("bob").returncode == 0
    assert snapshot(four, "bob") == after


def test_a_full_disk_of_ones_own_is_said_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with running_demo(tmp_path, nodes=3, users="alice,bob") as demo:
        demo.kill("bob")
        folder = Path(demo.node("bob")["data_dir"])
        with small_disk(folder, TINY_DISK_MIB):
            assert demo.restart("bob").returncode == 0
            pid = demo.node("bob")["pid"]
            acknowledged, refusal = submit_until_refused(demo)
            assert refusal == (452, b"4.3.1 the disk is full")
            read_and_flag_while_full(demo)
            late_id, late = compose("alice@example.org", ["bob@example.org"], size=8_000)
            demo.send("alice", ["bob"], late)
            enlarge(folder)
            for message_id, octets in acknowledged.items():
                assert demo.wait_for("alice", message_id) == octets
            assert demo.wait_for("bob", late_id) == late
            message_id, octets = compose("bob@example.org", ["alice@example.org"], size=30_000)
            demo.send("bob", ["alice"], octets)
            assert demo.wait_for("alice", message_id) == octets
            assert demo.status("bob")["pid"] == pid, "it never stopped"
            demo.kill("bob")


def submit_until_refused(demo: RunningDemo) -> tuple[dict[str, bytes], tuple[int, bytes]]:
    """Send mails with attachments until one is not taken; return those taken and the refusal."""
    acknowledged = {}
    with demo.smtp("bob") as client:
        for _ in range(200):
            message_id, octets = compose("bob@example.org", ["alice@example.org"], size=400_000)
            client.mail("bob@example.org")
            client.rcpt("alice@example.org")
            answer = client.data(octets)
            if answer[0] != 250:
                return acknowledged, answer
            acknowledged[message_id] = octets
    raise AssertionError("the disk did not fill up")


def read_and_flag_while_full(demo: RunningDemo) -> None:
    with demo.imap("bob") as client:
        assert client.select("INBOX")[0] == "OK"
        assert client.uid("STORE", "1:*", "+FLAGS", r"(\Flagged)")[0] == "OK"
        # A refusal may have freed a little: what does not compress fills it again.
        for _ in range(50):
            kind, (text,) = client.append("Drafts", "", "", os.urandom(200_000).hex().encode())
            if kind == "NO":
                break
        assert kind == "NO"
        assert b"disk" in text, text


def enlarge(folder: Path) -> None:
    size = f"remount,size={LARGER_DISK_MIB}m"
    subprocess.run(["mount", "-o", size, str(folder)], check=True, capture_output=True)
