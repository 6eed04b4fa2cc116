"""A week of trouble in an hour: kills, jumping clocks, an upgrade of one machine after the other.

Starts a ring of real daemons of an earlier version (`--since`, a commit of this repository), sends
a mail a second, and upgrades the machines one by one to the version of this checkout while others
are killed and their clocks jump. In the end nothing that was called ring-durable may be lost, no
mail may be there twice, and no daemon may have grown in memory or open files.

The clocks are those of libfaketime (Debian: faketime); without it they do not jump, and the result
says so. Prints a JSON object; exit 0 only if all of it held.

    python benchmarks/soak.py --nodes 12 --minutes 60 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from real_ring import (
    PAGE_BYTES,
    SETTLE_SECONDS,
    Postman,
    fate_of_mails,
    folder,
    wrong_leaf_sets,
)

from epost.daemon.control import ask
from tests.support.demo import RunningDemo, eventually, is_gone, running_demo

ROOT = Path(__file__).resolve().parent.parent
FIRST_VERSION = "770e4e9"
USERS = ("alice", "bob", "carol")
MAIL_GAP_SECONDS = 1.0
KILL_GAP_SECONDS = (20.0, 60.0)
JUMP_GAP_SECONDS = (30.0, 90.0)
JUMPS_SECONDS = (-86_400, -3600, -300, 300, 3600, 86_400)
WRONG_SECONDS = (20.0, 120.0)
"""For so long a clock is wrong, as until a time server is reached."""
DOWN_SECONDS = (1.0, 15.0)
SAMPLE_GAP_SECONDS = 10.0
START_SECONDS = 60.0
GROWTH_MB_MAX = 10.0
"""Between the second quarter of a life and its last."""
GROWTH_FILES_MAX = 16
LIFE_PART_MIN = 0.25
"""Lives shorter than this part of the run say nothing about growth."""
TICK_SECONDS = 0.5


@contextmanager
def source_of(commit: str, directory: Path) -> Iterator[Path]:
    """The sources of an earlier version, in a work tree of their own."""
    tree = directory / "earlier"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", str(tree), commit], check=True, stdout=2)
    try:
        yield tree / "src"
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=False, stdout=2)


def clock_library() -> Path | None:
    """Where libfaketime lies, if it is installed."""
    return next(Path("/usr/lib").glob("**/libfaketime.so.1"), None)


@dataclass
class Life:
    """One process of one daemon, and what it used over its time."""

    name: str
    is_earlier: bool
    """Does it run the version that is upgraded from?"""
    megabytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def growth(self) -> tuple[float, float]:
        """Return by how many MB and open files the end is above the second quarter."""
        quarter = len(self.megabytes) // 4
        early, late = slice(quarter, 2 * quarter), slice(-quarter, None)
        return (
            statistics.median(self.megabytes[late]) - statistics.median(self.megabytes[early]),
            statistics.median(self.files[late]) - statistics.median(self.files[early]),
        )


class Machines:
    """The daemons: who runs which version, by which clock, under which pid."""

    def __init__(self, demo: RunningDemo, sources: Path, clocks: Path) -> None:
        self._demo = demo
        self._clocks = clocks
        self._library = clock_library()
        self._earlier = sources
        self.sources = {name: sources for name in demo.names()}
        self.pids = {name: demo.node(name)["pid"] for name in demo.names()}
        self.lives = [Life(name, is_earlier=True) for name in demo.names()]
        self._own: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def clocks_jump(self) -> bool:
        return self._library is not None

    def end(self, name: str, how: signal.Signals) -> None:
        """End a daemon with whatever it has started, as a power cut does; wait until it is gone."""
        if (process := self._own.pop(name, None)) is None:
            os.kill(self.pids[name], how)
        else:
            os.killpg(process.pid, how)
            process.wait(30)
        eventually(lambda: is_gone(self.pids[name]), f"{name} to be gone")

    def start(self, name: str) -> None:
        """Start a daemon of the machine's version, by the machine's clock."""
        folder = Path(self._demo.node(name)["data_dir"])
        environment = os.environ | {"PYTHONPATH": str(self.sources[name])}
        if self._library is not None:
            clock = self._clocks / name
            if not clock.exists():
                clock.write_text("+0")
            environment |= {
                "LD_PRELOAD": str(self._library),
                "FAKETIME_TIMESTAMP_FILE": str(clock),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        with Path(self._demo.node(name)["log_file"]).open("ab") as log:
            self._own[name] = subprocess.Popen(
                [sys.executable, "-m", "epost.daemon", "run", "--data-dir", str(folder)],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.pids[name] = self._own[name].pid
        self.lives.append(Life(name, is_earlier=self.sources[name] == self._earlier))
        eventually(lambda: _answers(folder), f"{name} to answer", START_SECONDS)

    def set_clock(self, name: str, seconds: int) -> bool:
        """Set how far a machine's clock is off; False if its daemon does not look at it yet."""
        if name not in self._own or self._library is None:
            return False
        (self._clocks / name).write_text(f"{seconds:+d}")
        return True

    def sample(self) -> None:
        """Note what every daemon uses now."""
        for name, pid in self.pids.items():
            life = next(life for life in reversed(self.lives) if life.name == name)
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            except OSError:
                continue  # it is down
            life.megabytes.append(pages * PAGE_BYTES / 1e6)
            life.files.append(files)

    def close(self) -> None:
        for name in list(self._own):
            self.end(name, signal.SIGTERM)


def _answers(folder: Path) -> bool:
    try:
        ask(folder, "status")
    except Exception:
        return False
    return True


class Trouble:
    """What happens to the machines, drawn from a seed."""

    def __init__(self, machines: Machines, demo: RunningDemo, seed: int) -> None:
        self._machines, self._demo, self._random = machines, demo, Random(seed)
        self.counts: Counter[str] = Counter()
        self._right_at: dict[str, float] = {}

    def run(self, seconds: float) -> None:
        """Go on for so long; every machine is upgraded once in the middle three fifths."""
        random, begun = self._random, time.monotonic()
        names = self._demo.names()
        random.shuffle(names)
        upgrades = [
            (seconds * (0.2 + 0.6 * at / len(names)), name) for at, name in enumerate(names)
        ]
        kill_at, jump_at = random.uniform(*KILL_GAP_SECONDS), random.uniform(*JUMP_GAP_SECONDS)
        sample_at = 0.0
        while (now := time.monotonic() - begun) < seconds:
            if upgrades and now >= upgrades[0][0]:
                self._upgrade(upgrades.pop(0)[1])
            if now >= kill_at:
                self._kill(random.choice(names))
                kill_at = now + random.uniform(*KILL_GAP_SECONDS)
            if now >= jump_at:
                self._set_a_clock(random.choice(names), now)
                jump_at = now + random.uniform(*JUMP_GAP_SECONDS)
            self._set_clocks_right(now)
            if now >= sample_at:
                self._machines.sample()
                sample_at = now + SAMPLE_GAP_SECONDS
            time.sleep(TICK_SECONDS)

    def _set_a_clock(self, name: str, now: float) -> None:
        if self._machines.set_clock(name, self._random.choice(JUMPS_SECONDS)):
            self._right_at[name] = now + self._random.uniform(*WRONG_SECONDS)
            self.counts["clock jumps"] += 1

    def _set_clocks_right(self, now: float) -> None:
        for name in [name for name, at in self._right_at.items() if now >= at]:
            self._machines.set_clock(name, 0)
            del self._right_at[name]

    def _upgrade(self, name: str) -> None:
        self._machines.end(name, signal.SIGTERM)
        self._machines.sources[name] = ROOT / "src"
        self._machines.start(name)
        self.counts["upgrades"] += 1

    def _kill(self, name: str) -> None:
        self._machines.end(name, signal.SIGKILL)
        time.sleep(self._random.uniform(*DOWN_SECONDS))
        self._machines.start(name)
        self.counts["kills"] += 1


def grown(lives: list[Life], seconds: float) -> list[dict[str, Any]]:
    """Return the daemons that grew over a life long enough to tell."""
    found = []
    for life in lives:
        if len(life.megabytes) * SAMPLE_GAP_SECONDS < max(LIFE_PART_MIN * seconds, 80):
            continue
        megabytes, files = life.growth()
        if megabytes > GROWTH_MB_MAX or files > GROWTH_FILES_MAX:
            found.append(
                {
                    "name": life.name,
                    "is_earlier_version": life.is_earlier,
                    "minutes": round(len(life.megabytes) * SAMPLE_GAP_SECONDS / 60),
                    "mb": round(megabytes, 1),
                    "mb_in_the_end": round(life.megabytes[-1], 1),
                    "files": files,
                }
            )
    return found


def soak(
    directory: Path, sources: Path, *, nodes: int, minutes: float, seed: int
) -> dict[str, Any]:
    """Run it all; return what happened."""
    clocks = directory / "clocks"
    clocks.mkdir()
    with ExitStack() as stack:
        os.environ["PYTHONPATH"] = str(sources)  # the demo's daemons are of the earlier version
        demo = stack.enter_context(
            running_demo(directory / "demo", nodes=nodes, users=",".join(USERS), start_seconds=300)
        )
        machines = Machines(demo, sources, clocks)
        stack.callback(machines.close)
        postman = Postman(demo, USERS, seed, MAIL_GAP_SECONDS)
        postman.start()
        trouble = Trouble(machines, demo, seed)
        trouble.run(60 * minutes)
        postman.end()
        for name in demo.names():
            machines.set_clock(name, 0)
        settled = time.monotonic()
        while (wrong := wrong_leaf_sets(demo)) and time.monotonic() < settled + SETTLE_SECONDS:
            time.sleep(1)
        mails = fate_of_mails(demo, postman, USERS)
        too_many = grown(machines.lives, 60 * minutes)
    return {
        "nodes": nodes,
        "minutes": minutes,
        "seed": seed,
        "trouble": dict(sorted(trouble.counts.items())),
        "clocks_jump": machines.clocks_jump,
        **mails,
        "wrong_leaf_sets": wrong,
        "grown": too_many,
        "largest_mb": round(max(max(life.megabytes, default=0.0) for life in machines.lives), 1),
        "held": not (mails["mails_missing"] or mails["parts_on_fewer_than_k"] or wrong or too_many),
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--nodes", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--since", default=FIRST_VERSION, help="the commit that is upgraded from")
    parser.add_argument("--dir", type=Path, help="keep the demo here, logs included")
    arguments = parser.parse_args()
    if clock_library() is None:
        sys.stderr.write("libfaketime is not installed: the clocks will not jump\n")
    with folder(arguments.dir) as directory, source_of(arguments.since, directory) as sources:
        shutil.rmtree(directory / "demo", ignore_errors=True)
        found = soak(
            directory,
            sources,
            nodes=arguments.nodes,
            minutes=arguments.minutes,
            seed=arguments.seed,
        )
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if found["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
