"""ePOST's mail service beside Dovecot (and Postfix in front of it): one run, one table.

    python benchmarks/mail/side_by_side.py             10,000 and 100,000 messages, about 30 minutes
    python benchmarks/mail/side_by_side.py --short     10,000 messages, about 5 minutes
    python benchmarks/mail/side_by_side.py --cpu       CPU time of the servers, folders only

Needs root and Debian's dovecot-imapd, dovecot-lmtpd and postfix for the peers' column; without them
only ours is measured. Everything is on loopback. Each row is taken in turns, ours right after the
peer's. Prints Markdown for docs/benchmarks.md; nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import measures
from measures import Server
from wire import Account

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.support.demo import running_demo  # noqa: E402 - not installed

DOVECOT_IMAP_PORT, POSTFIX_PORT = 41143, 41025
PEER = "Dovecot / Postfix"
SESSIONS = 5


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def account(node: dict, protocol: str) -> Account:
    return Account(node[protocol]["port"], node["username"], node["password"])


@contextmanager
def peers(directory: Path, *, counts_cpu: bool) -> Iterator[Server | None]:
    """Dovecot and Postfix, if they are installed."""
    found = Path("/usr/sbin/dovecot").exists() and Path("/usr/sbin/postfix").exists()
    if not found or os.geteuid() != 0:
        say("no Dovecot and Postfix here, or not root: only ours is measured")
        yield None
        return
    scripts = [(HERE / "dovecot_loopback.sh", "dovecot"), (HERE / "postfix_loopback.sh", "postfix")]
    directory.chmod(0o755)
    for script, name in scripts:
        subprocess.run(["bash", script, "start", directory / name], check=True, stdout=2)
    try:
        yield Server(
            PEER,
            imap=Account(DOVECOT_IMAP_PORT, "reader", "pass"),
            smtp=Account(POSTFIX_PORT, "", ""),
            sender="writer@bench.test",
            recipient="inbox@bench.test",
            inbox=Account(DOVECOT_IMAP_PORT, "inbox", "pass"),
            counts_cpu=counts_cpu,
            roots=(
                int((directory / "dovecot/run/master.pid").read_text()),
                int((directory / "postfix/queue/pid/master.pid").read_text()),
            ),
        )
    finally:
        for script, name in scripts:
            subprocess.run(["bash", script, "stop", directory / name], check=False)


def compare_folders(servers: Sequence[Server], count: int, repeat: int) -> None:
    """All rows about one big folder, in turns."""
    folder = f"Big{count}"
    for server in servers:
        took = measures.fill(server, folder, count)
        say(f"{server.name}: {count} messages in {took:.0f} s, {count / took:.0f}/s")
        server.note("fill by APPEND, per message", took / count)
        measures.first_listing(server, folder)
    for turn in range(repeat):
        for server in servers:
            measures.read_folder(server, folder, count, turn)
            say(f"{server.name}: {count} messages, read {turn + 1}")
    for turn in range(min(repeat, 4)):
        for server in servers:
            measures.store_all(server, folder, turn)
    for server in servers:
        megabytes = measures.resident_megabytes(server, folder, SESSIONS)
        if megabytes is not None:
            say(f"{server.name}: {megabytes} MB, {count} messages open in {SESSIONS} sessions")
            server.samples["memory"] = [megabytes / 1000]


def compare_small(servers: Sequence[Server], scale: int) -> None:
    """Rows about single mails and connections."""
    for _ in range(40 * scale):
        for server in servers:
            measures.login(server)
    for server in servers:
        measures.idle(server, 10 * scale)
    for connections in (1, 10):
        for server in servers:
            measures.append(server, 100 * scale, connections)
            say(f"{server.name}: APPEND by {connections}")


def compare_submissions(servers: Sequence[Server], scale: int) -> None:
    for connections in (1, 10):
        for server in servers:
            measures.submissions(server, 100 * scale, connections)
            say(f"{server.name}: submissions by {connections}")


def table(title: str, servers: Sequence[Server], rows: Sequence[str]) -> str:
    """Medians and p99 in ms; what was timed as a whole, per second."""
    columns = [f" {server.name} " for server in servers]
    lines = [f"| {title} |{'|'.join(columns)}|", "|---|" + "---|" * len(servers)]
    for row in rows:
        cells = [_cell(row, server.samples.get(row, [])) for server in servers]
        lines.append(f"| {row.removesuffix(': whole')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: str, seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    if row == "memory":
        return f"{seconds[0] * 1000:.0f} MB"
    if row.endswith((": whole", "per message")):
        return f"{1 / statistics.median(seconds):.0f}/s"
    ordered = sorted(seconds)
    p99 = ordered[math.ceil(len(ordered) * 0.99) - 1]
    return f"{statistics.median(ordered) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f}"


def _report(title: str, servers: Sequence[Server]) -> None:
    rows = list(dict.fromkeys(row for server in servers for row in server.samples))
    sys.stdout.write(table(title, servers, rows) + "\n\n")
    sys.stdout.flush()
    for server in servers:
        server.samples.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="10,000 messages only")
    parser.add_argument("--counts", default="", help="sizes of the folders, e.g. 1000,10000")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--without-submissions", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="CPU time, folders only")
    options = parser.parse_args()
    counts = [int(c) for c in options.counts.split(",") if c]
    counts = counts or ([10_000] if options.short else [10_000, 100_000])
    scale = 1 if options.short else 4
    with tempfile.TemporaryDirectory(prefix="epost-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        shutil.rmtree(directory / "demo", ignore_errors=True)
        peer = stack.enter_context(peers(directory, counts_cpu=options.cpu))
        others = [peer] if peer else []
        if options.cpu:
            sys.stdout.write("CPU time of the servers' processes.\n\n")
        with running_demo(directory / "alone", nodes=1, users="alice") as demo:
            (node,) = demo.document()["nodes"]
            ours = _ours(node, node, counts_cpu=options.cpu)
            if not options.cpu:  # a peer's process ends with its connection
                compare_small([*others, ours], scale)
                _report("one mail, one connection", [*others, ours])
            for count in counts:
                compare_folders([*others, ours], count, options.repeat)
                _report(f"{count:,} messages of 2 KB", [*others, ours])
        if not (options.without_submissions or options.cpu):
            with running_demo(directory / "ring", nodes=3, users="alice,bob") as demo:
                nodes = demo.document()["nodes"]
                ours = _ours(nodes[0], nodes[1], counts_cpu=options.cpu)
                compare_submissions([*others, ours], scale)
                _report("until it is in the recipient's INBOX", [*others, ours])


def _ours(writer: dict, reader: dict, *, counts_cpu: bool) -> Server:
    return Server(
        "ePOST",
        imap=account(writer, "imap"),
        smtp=account(writer, "smtp"),
        sender=writer["user"],
        recipient=reader["user"],
        inbox=account(reader, "imap"),
        pid=writer["pid"],
        counts_cpu=counts_cpu,
        roots=sorted({writer["pid"], reader["pid"]}),
    )


if __name__ == "__main__":
    main()
