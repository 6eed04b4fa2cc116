"""Real daemons under faults: kill -9, stop, continue, erased disks, while mails flow slowly.

Starts `epost demo --nodes N` (three users, the rest storage), injects faults drawn from a seed,
heals them, and in the end checks what was promised: the ring is whole within 30 s of the last fault
(every daemon's leaf set is the true one by the ids in demo.json), every mail that was acknowledged
is read with its octets, and each stored part of those called ring-durable lies on k machines.

A disk is erased only when the last erased one is made good: ring-durable survives k-1 lost disks at
a time, not more. Prints a JSON object; exit 0 only if all of it held.

    python benchmarks/real_ring.py --nodes 30 --minutes 10 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import smtplib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from epost.daemon.control import ask  # noqa: E402 - the tests' demo is not installed
from epost.foundation.errors import EpostError  # noqa: E402
from tests.support.demo import RunningDemo, compose, running_demo  # noqa: E402

LEAF_SET_SIDE = 8
COPIES = 3
FAULTS_AT_ONCE_MAX = 3
FAULT_GAP_SECONDS = (3.0, 8.0)
DOWN_SECONDS = (2.0, 20.0)
ERASE_GAP_SECONDS = 20.0
CALM_SECONDS_MAX = 40.0
"""If copies are still missing then, this disk is spared and the other faults go on."""
MAIL_GAP_SECONDS = 4.0
MAIL_BYTES = (1_000, 60_000)
WHOLE_SECONDS = 30.0
SETTLE_SECONDS = 180.0
TICK_SECONDS = 0.2
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Mail:
    """One submission: what was sent, to whom, and what the 250 said."""

    recipient: str
    octets: bytes
    answer: str

    @property
    def is_ring_durable(self) -> bool:
        return "ring-durable" in self.answer


class Postman(threading.Thread):
    """Sends a mail now and then; what is not acknowledged is not counted."""

    def __init__(
        self,
        demo: RunningDemo,
        users: Sequence[str],
        seed: int,
        gap_seconds: float = MAIL_GAP_SECONDS,
    ) -> None:
        super().__init__(daemon=True)
        self._demo, self._users, self._random = demo, users, Random(seed)
        self._gap_seconds = gap_seconds
        self._ended = threading.Event()
        self.mails: dict[str, Mail] = {}
        self.refused = 0

    def run(self) -> None:
        while not self._ended.wait(self._gap_seconds):
            sender, recipient = self._random.sample(self._users, 2)
            size = self._random.randint(*MAIL_BYTES)
            addresses = [self._demo.address(recipient)]
            message_id, octets = compose(self._demo.address(sender), addresses, size=size)
            try:
                answer = self._demo.send(sender, [recipient], octets)
            except (OSError, smtplib.SMTPException, AssertionError):
                self.refused += 1
            else:
                self.mails[message_id] = Mail(recipient, octets, answer)

    def end(self) -> None:
        self._ended.set()
        self.join(90)


@dataclass
class Faults:
    """Injects faults and heals them; `down` has when and how each node that is down comes back."""

    demo: RunningDemo
    random: Random
    counts: Counter[str] = field(default_factory=Counter)
    erased: set[str] = field(default_factory=set)
    down: dict[str, tuple[float, Callable[[str], None]]] = field(default_factory=dict)
    last_fault: float = 0.0
    last_erase: float = field(default_factory=time.monotonic)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        next_fault = time.monotonic()
        while time.monotonic() < end:
            self.heal()
            if time.monotonic() - self.last_erase > ERASE_GAP_SECONDS + CALM_SECONDS_MAX:
                self.last_erase = time.monotonic()
                self.counts["erase spared"] += 1
            if self._wants_calm():
                if not self.down and self._is_whole():
                    self.inject("erase")
            elif time.monotonic() >= next_fault and len(self.down) < FAULTS_AT_ONCE_MAX:
                self.inject(self.random.choice(("kill", "stop")))
                next_fault = time.monotonic() + self.random.uniform(*FAULT_GAP_SECONDS)
            time.sleep(TICK_SECONDS)

    def inject(self, fault: str) -> None:
        up = [name for name in self.demo.names() if name not in self.down]
        if fault == "erase":  # a user's machine is not made good without its user
            up = [name for name in up if "user" not in self.demo.node(name)]
        name = self.random.choice(up)
        node = self.demo.node(name)
        self.counts[fault] += 1
        self.last_fault = time.monotonic()
        back_at = self.last_fault + self.random.uniform(*DOWN_SECONDS)
        if fault == "stop":
            os.kill(node["pid"], signal.SIGSTOP)
            self.down[name] = back_at, self._continue
            return
        self.demo.kill(name)
        if fault == "erase":
            self.demo.erase(name)
            self.erased.add(name)
            self.last_erase = time.monotonic()
        self.down[name] = back_at, self._restart

    def heal(self) -> None:
        due = [name for name, (back_at, _) in self.down.items() if time.monotonic() >= back_at]
        if self.erased.intersection(due):
            self._bring_back(self._authority)
        for name in due:
            self._bring_back(name)

    def heal_all(self) -> None:
        """Bring everybody back now, side by side as machines do."""
        self._bring_back(self._authority)
        with ThreadPoolExecutor(FAULTS_AT_ONCE_MAX) as pool:
            for _ in pool.map(self._bring_back, list(self.down)):
                pass

    @property
    def _authority(self) -> str:
        """The machine with the authority, without which nobody is enrolled anew."""
        return next(name for name in self.demo.names() if "user" not in self.demo.node(name))

    def _bring_back(self, name: str) -> None:
        if name in self.down:
            _, come_back = self.down[name]
            come_back(name)
            del self.down[name]
            self.erased.discard(name)

    def _continue(self, name: str) -> None:
        os.kill(self.demo.node(name)["pid"], signal.SIGCONT)

    def _restart(self, name: str) -> None:
        ask(self.demo.directory, "restart-node", name=name)

    def _wants_calm(self) -> bool:
        """Is it time for the next disk to go, for which the last must be made good?"""
        return time.monotonic() - self.last_erase > ERASE_GAP_SECONDS

    def _is_whole(self) -> bool:
        states = overviews(self.demo, self.demo.names())
        return all(state is not None and state["below_k"] == 0 for state in states.values())


def overviews(demo: RunningDemo, names: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """What `epost ring` says on each node; None where it cannot be asked."""

    def overview(name: str) -> dict[str, Any] | None:
        try:
            return ask(Path(demo.node(name)["data_dir"]), "ring")
        except (EpostError, OSError):
            return None

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(names, pool.map(overview, names), strict=True))


def wrong_leaf_sets(demo: RunningDemo) -> list[str]:
    """Return the nodes whose leaf set is not the true one by the ids in demo.json."""
    ids = {node["name"]: node["node_id"] for node in demo.document()["nodes"]}
    ring = sorted(ids.values())
    wrong = []
    for name, told in overviews(demo, list(ids)).items():
        at = ring.index(ids[name])
        steps = [s for s in range(-LEAF_SET_SIDE, LEAF_SET_SIDE + 1) if s]
        true = {ring[(at + step) % len(ring)] for step in steps} - {ids[name]}
        seen = [n["node_id"] for n in told["leaf_set"] if n["reachable"]] if told else []
        if told is None or not told["ready"] or set(seen) != true:
            wrong.append(name)
    return wrong


def wait_until_whole(demo: RunningDemo, since: float) -> tuple[float, list[str]]:
    """Return how long after a moment the ring was whole, and who was wrong at the end."""
    while True:
        wrong = wrong_leaf_sets(demo)
        passed = time.monotonic() - since
        if not wrong or passed > SETTLE_SECONDS:
            return passed, wrong
        time.sleep(TICK_SECONDS)


def missing_mails(demo: RunningDemo, mails: dict[str, Mail], users: Sequence[str]) -> list[str]:
    """Return the mails that are not in their recipient's mailbox with their octets."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        boxes = {user: demo.inbox(user) for user in users}
        missing = [i for i, m in mails.items() if boxes[m.recipient].get(i) != m.octets]
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(1)


def thin_parts(demo: RunningDemo, mails: dict[str, Mail]) -> tuple[int, list[str]]:
    """Return how many stored parts there are, and those that lie on fewer than k machines."""
    deadline = time.monotonic() + SETTLE_SECONDS
    count, thin = 0, []
    for message_id, mail in mails.items():
        folder = Path(demo.node(mail.recipient)["data_dir"])
        while True:
            parts = ask(folder, "parts", message_id=message_id)["parts"]
            few = [part["handle"] for part in parts if len(part["holders"]) < COPIES]
            if not few or time.monotonic() > deadline:
                break
            time.sleep(1)
        count += len(parts)
        thin += few
    return count, thin


def resident_bytes(demo: RunningDemo) -> int:
    """Memory of all daemons together."""
    total = 0
    for node in demo.document()["nodes"]:
        try:
            total += int(Path(f"/proc/{node['pid']}/statm").read_text().split()[1]) * PAGE_BYTES
        except OSError:
            continue
    return total


@contextmanager
def folder(given: Path | None) -> Iterator[Path]:
    """Yield the folder of the demo; one of our own is removed in the end."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="real-ring-") as made:
        yield Path(made)


def fate_of_mails(demo: RunningDemo, postman: Postman, users: Sequence[str]) -> dict[str, int]:
    """Count what became of all mails that were submitted: whether they are there, and how often."""
    durable = {i: m for i, m in postman.mails.items() if m.is_ring_durable}
    missing = missing_mails(demo, postman.mails, users)
    parts, thin = thin_parts(demo, {i: m for i, m in durable.items() if i not in missing})
    return {
        "mails_accepted": len(postman.mails),
        "mails_ring_durable": len(durable),
        "mails_not_accepted": postman.refused,
        "mails_missing": len(missing),
        "ring_durable_missing": sum(i in durable for i in missing),
        "parts_checked": parts,
        "parts_on_fewer_than_k": len(thin),
    }


def experiment(directory: Path, *, nodes: int, minutes: float, seed: int) -> dict[str, Any]:
    """Run it all; return what happened."""
    users = ("alice", "bob", "carol")
    loads = [os.getloadavg()[0]]
    start = time.monotonic()
    with running_demo(
        directory, nodes=nodes, users=",".join(users), start_seconds=120 + 12 * nodes
    ) as demo:
        up_seconds = time.monotonic() - start
        postman = Postman(demo, users, seed)
        postman.start()
        faults = Faults(demo, Random(seed))
        faults.run(minutes * 60)
        loads.append(os.getloadavg()[0])
        faults.heal_all()
        healed = time.monotonic()
        whole_seconds, wrong = wait_until_whole(demo, faults.last_fault)
        postman.end()
        mails = fate_of_mails(demo, postman, users)
        memory = resident_bytes(demo)
    loads.append(os.getloadavg()[0])
    return {
        "nodes": nodes,
        "minutes": minutes,
        "seed": seed,
        "faults": dict(sorted(faults.counts.items())),
        "start_seconds": round(up_seconds, 1),
        "last_fault_to_healed_seconds": round(healed - faults.last_fault, 1),
        "last_fault_to_whole_seconds": round(whole_seconds, 1),
        "healed_to_whole_seconds": round(whole_seconds - (healed - faults.last_fault), 1),
        "wrong_leaf_sets": wrong,
        **mails,
        "memory_mb": round(memory / 1e6),
        "processors": os.cpu_count(),
        "load_start_end_after": [round(load, 1) for load in loads],
        "nothing_lost": not mails["mails_missing"] and not mails["parts_on_fewer_than_k"],
        "whole_in_time": not wrong and whole_seconds <= WHOLE_SECONDS,
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--nodes", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="keep the demo here, logs included")
    arguments = parser.parse_args()
    with folder(arguments.dir) as directory:
        found = experiment(
            directory, nodes=arguments.nodes, minutes=arguments.minutes, seed=arguments.seed
        )
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if found["nothing_lost"] and found["whole_in_time"] else 1


if __name__ == "__main__":
    sys.exit(main())
