"""A large folder on a new machine: how long until it shows; and appends to one log by real daemons.

    python benchmarks/mail/new_machine.py --mails 100000     an hour, most of it to fill the folder
    python benchmarks/mail/new_machine.py --mails 3000

Five daemons on loopback. One user's INBOX is filled by APPEND; a snapshot of her log is made
meanwhile. Then `epost recover --keep-machines` adds a machine with an empty vault, its daemon is
started, and the seconds count from there: until an IMAP client may select the INBOX, until it has
all mails, and until it has listed UIDs, flags, sizes and dates of all. Then 50 connections change
flags, one record of the log each. Prints what it finds; nothing asserts a time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from progress import Progress
from wire import FLAGS, Account, Imap, mail

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from epost.daemon.authority.authority import Authority  # noqa: E402
from epost.daemon.authority.world import system_world  # noqa: E402
from epost.daemon.demo.state import load_state  # noqa: E402
from tests.support.demo import RunningDemo, epost, running_demo  # noqa: E402 - not installed

BATCH = 100
MAIL_OCTETS = 2048
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 1800.0
SETTLED_SECONDS = 30.0
"""The last snapshot is made and pushed."""
CONNECTIONS = 50
STORES = 40
"""Changes of flags by each connection."""


def account_of(node: dict) -> Account:
    """Return where a demo's user reads her mail."""
    return Account(node["imap"]["port"], node["username"], node["password"])


def fill(account: Account, count: int) -> float:
    """Append mails; return the seconds."""
    progress, begun = Progress("import", count), time.perf_counter()
    with Imap(account) as client:
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            client.append_many("INBOX", ((FLAGS[n % 5], mail(n, MAIL_OCTETS)) for n in numbers))
            progress.show(first + len(numbers))
    return time.perf_counter() - begun


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def said(result: subprocess.CompletedProcess[str]) -> dict:
    """Return what the command line said in JSON."""
    if result.returncode:
        raise SystemExit(result.stderr)
    return json.loads(result.stdout)


def new_machine(demo: RunningDemo, directory: Path) -> Account:
    """Make one more machine of the user's account; return where it will serve her mail."""
    secrets = json.loads((demo.directory / "demo-secrets.json").read_text())
    words = directory.parent / "words"
    words.write_text(secrets["nodes"][0]["recovery_words"])
    state = load_state(demo.directory)
    assert state is not None
    with Authority.open(demo.directory / "authority", system_world()) as authority:
        invitation = authority.invite_device(state.nodes[0].user)
    recover = (
        "recover", invitation, "--keep-machines", "--json", "--data-dir", str(directory),
        "--words-file", str(words), "--listen", f"127.0.0.1:{free_port()}",
    )  # fmt: skip
    joined = said(epost(*recover, timeout=600))
    host, _, port_text = joined["imap"].rpartition(":")
    return Account(int(port_text), joined["name"], joined["password"], host)


def wait(is_so: Callable[[], bool], begun: float) -> float:
    """Return the seconds since `begun` at which this holds."""
    while not is_so():
        if time.perf_counter() - begun > PATIENCE_SECONDS:
            raise SystemExit("it never comes")
        time.sleep(PAUSE_SECONDS)
    return time.perf_counter() - begun


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_folder(account: Account, directory: Path, count: int) -> subprocess.Popen[bytes]:
    """Start the new machine's daemon, print when the folder is there; return the daemon."""
    log = (directory.parent / "new-machine.log").open("wb")
    begun = time.perf_counter()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "epost.cli", "run", "--data-dir", str(directory)],
        stdout=log,
        stderr=log,
    )

    def is_open() -> bool:
        try:
            with Imap(account):
                return True
        except (OSError, SystemExit):
            return False

    print(f"INBOX can be read after      {wait(is_open, begun):7.1f} s")
    with Imap(account) as client:  # one log-in: they cost more than a look
        seconds = wait(lambda: client.count("INBOX") >= count, begun)
    print(f"all {count} mails show after {seconds:7.1f} s")
    print(f"CPU of the new daemon then   {cpu_seconds(daemon.pid):7.1f} s", flush=True)
    with Imap(account, "INBOX") as client:
        answer = client.ok(b"FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)")
    listed = len(re.findall(rb"\* \d+ FETCH", answer))
    print(f"{listed} are listed after     {time.perf_counter() - begun:7.1f} s")
    print(f"CPU of the new daemon so far {cpu_seconds(daemon.pid):7.1f} s", flush=True)
    with Imap(account, "INBOX") as client:
        once = time.perf_counter()
        assert len(client.ok(b"FETCH 1 BODY.PEEK[]")) > MAIL_OCTETS
        print(f"a mail of it is read in    {time.perf_counter() - once:7.3f} s", flush=True)
    return daemon


def change_flags(account: Account) -> None:
    """Append to one log as many connections do at once; print how many a second."""

    def work(first: int) -> None:
        with Imap(account, "INBOX") as client:
            for uid in range(first, first + STORES):
                client.ok(b"UID STORE %d +FLAGS.SILENT ($Bench)" % uid)

    threads = [
        threading.Thread(target=work, args=(1 + number * STORES,)) for number in range(CONNECTIONS)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    total = CONNECTIONS * STORES
    print(f"{total} changes of flags in {seconds:.1f} s: {total / seconds:.0f} a second")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mails", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with running_demo(directory / "demo", users="alice") as demo:
            alice = account_of(demo.document()["nodes"][0])
            print(f"filled in {fill(alice, options.mails):.0f} s", flush=True)
            change_flags(alice)
            time.sleep(SETTLED_SECONDS)
            machine = directory / "machine"
            account = new_machine(demo, machine)
            count = options.mails + welcome_mails(alice, options.mails)
            daemon = open_folder(account, machine, count)
            daemon.terminate()
            daemon.wait(60)
    return 0


def welcome_mails(account: Account, filled: int) -> int:
    """Return how many mails the demo had brought itself."""
    with Imap(account) as client:
        return client.count("INBOX") - filled


if __name__ == "__main__":
    sys.exit(main())
