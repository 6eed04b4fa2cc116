"""What the process that reads files can still do to the rest of the machine: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux'")

ATTACK = """
import errno, json, os, resource, signal, socket, sys
from epost.daemon.file_reading import child, confinement
victim, how = sys.argv[1:]
parent = os.getppid()
library = confinement.ctypes.CDLL(None, use_errno=True)
library.prctl(38, 1, 0, 0, 0)
confined = {
    "whole": lambda: child.confine() or True,
    "files": lambda: confinement._forbid_files(library),
    "calls": lambda: confinement._forbid_calls(library),
    "not at all": lambda: False,
}[how]()
attempts = {
    "open": lambda: os.open(victim, os.O_RDONLY),
    "delete": lambda: os.unlink(victim),
    "rename": lambda: os.rename(victim, victim + "2"),
    "truncate": lambda: os.truncate(victim, 0),
    "make": lambda: os.mkdir(victim + "3"),
    "permit": lambda: os.chmod(victim, 0o777),
    "link": lambda: os.symlink(victim, victim + "4"),
    "become": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "end": lambda: os.kill(parent, signal.SIGURG),
    "throttle": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
    "connect": lambda: socket.socket().connect(("127.0.0.1", 9)),
    "own limits": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1000, -1)),
}
harmless = ("open", "make", "link", "delete")
done = []
for name in harmless if how == "not at all" else attempts:
    try:
        attempts[name]()
        done.append(name)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EMFILE, errno.EXDEV):
            done.append(f"{name}: {error}")
print(json.dumps([bool(confined), done]), flush=True)
"""


def attack(victim: Path, how: str) -> tuple[bool, list[str]]:
    """Run the attacks in a confined process; return whether it was, and which succeeded."""
    victim.write_text("a mailbox", encoding="ascii")
    command = (sys.executable, "-P", "-c", ATTACK, str(victim), how)
    ended = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr.decode()
    confined, done = json.loads(ended.stdout)
    return confined, done


def test_where_nothing_is_forbidden_the_attack_works(tmp_path: Path) -> None:
    victim = tmp_path / "mailbox"
    assert attack(victim, "not at all") == (False, ["open", "make", "link", "delete"])
    assert not victim.exists()


def test_who_takes_the_process_over_can_touch_no_file_and_no_other_process(tmp_path: Path) -> None:
    victim = tmp_path / "mailbox"
    _, done = attack(victim, "whole")
    assert done == ["own limits"]
    assert victim.read_text(encoding="ascii") == "a mailbox"
    assert [path.name for path in tmp_path.iterdir()] == ["mailbox"]


def test_each_of_the_two_means_keeps_the_files_by_itself(tmp_path: Path) -> None:
    for how in ("files", "calls"):
        victim = tmp_path / how
        confined, done = attack(victim, how)
        if confined:
            touching = {"open", "delete", "rename", "truncate", "make", "link", "become"}
            assert not touching & set(done), how
            assert victim.read_text(encoding="ascii") == "a mailbox"
