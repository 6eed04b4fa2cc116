"""`make bench`: what a small organisation of real daemons does on this machine.

Starts the five daemons of the demo, loads them with stock protocols on loopback, prints figures
as JSON and as a table for docs/benchmarks.md. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.demo import RunningDemo, running_demo  # noqa: E402 - not installed

BODY_BYTES = 10 * 1024
PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024
TICKS = os.sysconf("SC_CLK_TCK")


def by_name(demo: RunningDemo) -> dict[str, dict]:
    """Return what demo.json says of each node."""
    return {node["name"]: node for node in demo.document()["nodes"]}


class Smtp:
    """A client that only waits for the network: it must not be what is measured."""

    def __init__(self, node: dict) -> None:
        self.socket = socket.create_connection((node["smtp"]["host"], node["smtp"]["port"]))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.say("EHLO bench.example.org")
        login = f"\0{node['username']}\0{node['password']}".encode()
        self.say("AUTH PLAIN " + b64encode(login).decode())

    def reply(self) -> str:
        while True:
            line = self.file.readline().decode()
            if not line or line[0] not in "23":
                raise SystemExit(f"SMTP: {line!r}")
            if line[3:4] != "-":
                return line

    def say(self, line: str) -> str:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def send(self, sender: str, recipient: str, octets: bytes) -> tuple[float, str]:
        """Return the seconds from the first command to the 250, and its text."""
        start = time.perf_counter()
        self.socket.sendall(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        for _ in range(3):
            self.reply()
        self.socket.sendall(octets + b"\r\n.\r\n")
        text = self.reply()
        return time.perf_counter() - start, text


def mail(sender: str, recipient: str, number: int) -> bytes:
    """A mail of 10 KB with a text that compresses like text."""
    head = (
        f"From: {sender}\r\nTo: {recipient}\r\nSubject: bench {number}\r\n"
        f"Message-ID: <bench.{number}.{os.getpid()}.{time.time_ns()}@example.org>\r\n"
        "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\n"
    )
    line = f"line of mail {number} about rivers, budgets, gardens and letters of the ring\r\n"
    return (head + line * (BODY_BYTES // len(line))).encode()


def submissions(nodes: dict, connections: int, count: int) -> dict:
    """Submit `count` mails over some connections; all of them acknowledged durable."""
    alice, bob = nodes["alice"], nodes["bob"]
    latencies: list[float] = []
    held: list[str] = []
    lock = threading.Lock()

    def work(share: int, first: int) -> None:
        client = Smtp(alice)
        for number in range(first, first + share):
            octets = mail(alice["user"], bob["user"], number)
            seconds, text = client.send(alice["user"], bob["user"], octets)
            with lock:
                latencies.append(seconds)
                if "ring-durable" not in text:
                    held.append(text)

    share = count // connections
    threads = [threading.Thread(target=work, args=(share, n * share)) for n in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    latencies.sort()
    return {
        "connections": connections,
        "count": len(latencies),
        "per_second": round(len(latencies) / seconds, 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        "held_locally": len(held),
    }


class Idle:
    """An IMAP connection that waits for EXISTS."""

    def __init__(self, node: dict) -> None:
        self.socket = socket.create_connection((node["imap"]["host"], node["imap"]["port"]))
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.command(f'a LOGIN "{node["username"]}" "{node["password"]}"')
        self.command("b SELECT INBOX")

    def command(self, line: str) -> None:
        self.socket.sendall(line.encode() + b"\r\n")
        while not self.file.readline().startswith(line[:2].encode()):
            pass

    def idle(self) -> None:
        self.socket.sendall(b"i IDLE\r\n")
        while not self.file.readline().startswith(b"+"):
            pass

    def wait_for_exists(self) -> float:
        while not self.file.readline().rstrip().endswith(b"EXISTS"):
            pass
        return time.perf_counter()

    def done(self) -> None:
        self.socket.sendall(b"DONE\r\n")
        while not self.file.readline().startswith(b"i "):
            pass


def wake_up(nodes: dict, count: int) -> dict:
    """From the 250 at the sender to `* EXISTS` at the recipient (negative: EXISTS came first)."""
    alice, bob = nodes["alice"], nodes["bob"]
    sender, reader = Smtp(alice), Idle(bob)
    delays = []
    for number in range(count):
        reader.idle()
        seen: list[float] = []
        thread = threading.Thread(target=lambda s=seen: s.append(reader.wait_for_exists()))
        thread.start()
        sender.send(alice["user"], bob["user"], mail(alice["user"], bob["user"], number))
        accepted = time.perf_counter()
        thread.join()
        reader.done()
        delays.append(max(0.0, seen[0] - accepted))
    delays.sort()
    return {
        "count": count,
        "p50_ms": round(delays[count // 2] * 1000, 1),
        "p99_ms": round(delays[int(count * 0.99)] * 1000, 1),
    }


def idle_cost(nodes: dict, seconds: float) -> dict:
    """Memory and CPU of a daemon that has nothing to do."""
    pids = [n["pid"] for n in nodes.values()]
    before = {pid: _cpu_seconds(pid) for pid in pids}
    time.sleep(seconds)
    shares = [(_cpu_seconds(pid) - before[pid]) / seconds * 100 for pid in pids]
    return {
        "memory_mb": round(statistics.median(_memory_mb(pid) for pid in pids), 1),
        "memory_mb_max": round(max(_memory_mb(pid) for pid in pids), 1),
        "cpu_percent": round(statistics.median(shares), 2),
    }


def _memory_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * PAGE_KB / 1024


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def set_tail(directory: Path, *, in_head: bool) -> None:
    """Choose the variant of the log's tail in every node's configuration."""
    for path in directory.glob("nodes/*/config.toml"):
        lines = [
            f"tail_in_head = {'true' if in_head else 'false'}"
            if line.startswith("tail_in_head")
            else line
            for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")


def profile(directory: Path, count: int) -> str:
    """Where the sender's time goes: the 25 largest shares of alice's daemon under load."""
    folder = directory / "nodes" / "alice"
    output = directory / "alice.prof"
    with running_demo(directory) as demo:
        nodes = by_name(demo)
        os.kill(nodes["alice"]["pid"], signal.SIGTERM)
        command = [
            sys.executable, "-m", "cProfile", "-o", str(output),
            "-m", "epost.daemon", "run", "--data-dir", str(folder),
        ]  # fmt: skip
        time.sleep(2)
        daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(8)
        submissions(nodes, 10, count)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=30)
    script = (
        "import pstats,sys; pstats.Stats(sys.argv[1]).strip_dirs().sort_stats('tottime')"
        ".print_stats(25)"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(output)], capture_output=True, text=True, check=True
    ).stdout


def machine() -> str:
    """One line about where this was measured."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, loopback"


def table(results: dict) -> str:
    """Return the figures as a table in Markdown."""
    rows = [f"Machine: {results['machine']}.", "", "| what | figure |", "|---|---|"]
    idle = results["idle"]
    rows.append(
        f"| idle daemon | {idle['memory_mb']} MB (largest {idle['memory_mb_max']}), "
        f"{idle['cpu_percent']} % of a core |"
    )
    for name, value in results.items():
        if "per_second" in value:
            rows.append(
                f"| durable submissions, 10 KB, {name} | {value['per_second']}/s, "
                f"p50 {value['p50_ms']} ms, p99 {value['p99_ms']} ms, "
                f"held locally {value['held_locally']} of {value['count']} |"
            )
        elif "EXISTS" in name:
            rows.append(f"| {name} | p50 {value['p50_ms']} ms, p99 {value['p99_ms']} ms |")
        elif "memory" in name:
            rows.append(f"| {name} | {value['memory_mb']} MB (largest {value['memory_mb_max']}) |")
    return "\n".join(rows)


def main() -> None:
    """Run everything and print JSON; `--count` sets the number of mails of a load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="epost-bench-"))
    results: dict = {"machine": machine()}
    try:
        for variant in ("tail in head", "tail in cluster"):
            if (directory / "nodes").exists():
                set_tail(directory, in_head=variant == "tail in head")
            with running_demo(directory) as demo:
                nodes = by_name(demo)
                if "idle" not in results:
                    results["idle"] = idle_cost(nodes, 20)
                submissions(nodes, 1, 50)  # warm
                for connections in (1, 10):
                    runs = [
                        submissions(nodes, connections, arguments.count // (11 - connections))
                        for _ in range(arguments.repeat)
                    ]
                    runs.sort(key=lambda r: r["per_second"])
                    results[f"{variant}, {connections} connections"] = runs[len(runs) // 2]
                results[f"{variant}, 250 to EXISTS"] = wake_up(nodes, 100)
                results[f"{variant}, memory after load"] = idle_cost(nodes, 5)
        print(json.dumps(results, indent=2))
        print(table(results))
        if arguments.profile:
            set_tail(directory, in_head=True)
            print(profile(directory, arguments.count))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
