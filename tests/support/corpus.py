"""Real and broken mails to read in tests: a corpus if there is one, else what Python ships."""

import os
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FILE_BYTES_MAX = 8 * 2**20


@cache
def mails() -> tuple[tuple[str, bytes], ...]:
    """Return (name, octets) of every file and of every member of a mailbox.

    The folder is that of EPOST_CORPUS, or one named "corpus" that lies beside the checkout.
    """
    return tuple(_mails())


def _mails() -> Iterator[tuple[str, bytes]]:
    for folder in _folders():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
                octets = path.read_bytes()
                yield str(path.relative_to(folder)), octets
                yield from _members(path.name, octets)


def _folders() -> Iterator[Path]:
    named = os.environ.get("EPOST_CORPUS")
    if named:
        yield Path(named)
        return
    found = sorted(REPOSITORY.parent.glob("*/corpus"))
    yield from found or [Path(sysconfig.get_path("stdlib")) / "test/test_email/data"]


def _members(name: str, octets: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the mails of an mbox file."""
    if octets.startswith(b"From ") and octets.count(b"\nFrom ") > 0:
        for number, member in enumerate(octets.split(b"\nFrom ")):
            yield f"{name}[{number}]", member.partition(b"\n")[2]
