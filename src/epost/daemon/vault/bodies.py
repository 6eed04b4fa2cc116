"""Bodies of blocks on disk: parts in the database, large ones in a file each, all with checksums.

A body has a number that is never given twice, and its file is named by it: a file that no
committed row names is an orphan of a crash, swept at the next start. So files need no renaming.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw

FILE_BYTES_MIN = 256 * 1024
"""Parts from this size on are files: they cost a fifth of the CPU there, and are freed at once."""
PARTS_MAX = 1 << 16
CHECKSUM_BYTES = 16

_PUT = "INSERT INTO bodies (id, checksum, body) VALUES (?, ?, ?)"
_DROP = "DELETE FROM bodies WHERE id >= ? AND id < ? RETURNING id, body IS NULL"
_LOAD = "SELECT id, checksum, body FROM bodies WHERE id >= ? AND id < ? ORDER BY id"
_IN_FILES = "SELECT id FROM bodies WHERE body IS NULL"
_NEWEST = "SELECT max(id) FROM bodies"


class BodyFiles:
    """The folder of the bodies that are files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def write(self, part_id: int, body: bytes) -> None:
        """Write a new file and flush it; its name is durable after `flush`."""
        with self._path(part_id).open("xb") as file:
            file.write(body)
            file.flush()
            _flush_file(file.fileno())

    def flush(self) -> None:
        """Make the names of the files written so far durable."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, part_id: int) -> bytes | None:
        """Return what is in a file; None if it is gone or the disk cannot read it."""
        try:
            return self._path(part_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.EIO:
                return None
            raise

    def remove(self, part_id: int) -> None:
        """Remove a file; one that is gone is no matter."""
        self._path(part_id).unlink(missing_ok=True)

    def sweep(self, connection: apsw.Connection) -> int:
        """Remove files that no committed part names; return how many there were."""
        named = {f"{part_id:x}" for (part_id,) in connection.execute(_IN_FILES)}
        orphans = [path for path in self._folder.iterdir() if path.name not in named]
        for path in orphans:
            path.unlink()
        return len(orphans)

    def _path(self, part_id: int) -> Path:
        return self._folder / f"{part_id:x}"


def part_id(body: int, part: int) -> int:
    """Return the key of one part of a body."""
    assert part < PARTS_MAX, "too many extensions of one body"
    return body * PARTS_MAX + part


def next_body(connection: apsw.Connection) -> int:
    """Return a number above those of all bodies."""
    for (newest,) in connection.execute(_NEWEST):
        return 1 if newest is None else newest // PARTS_MAX + 1
    raise AssertionError("an aggregate has one row")


def put_part(connection: apsw.Connection, files: BodyFiles, key: int, body: bytes) -> bool:
    """Write one part; return whether it became a file, whose name is yet to be flushed."""
    is_file = len(body) >= FILE_BYTES_MIN
    if is_file:
        files.write(key, body)
    connection.execute(_PUT, (key, _checksum(key, body), None if is_file else body))
    return is_file


def drop_body(connection: apsw.Connection, body: int) -> list[int]:
    """Remove all parts of a body; return which files to remove after the commit."""
    parts = connection.execute(_DROP, (part_id(body, 0), part_id(body + 1, 0)))
    return [key for key, is_file in parts if is_file]


def read_parts(
    connection: apsw.Connection, files: BodyFiles, body: int, parts: int
) -> Sequence[bytes] | None:
    """Return the first parts of a body; None if one is missing or not what was written."""
    found: list[bytes] = []
    first = part_id(body, 0)
    for key, checksum, inline in connection.execute(_LOAD, (first, first + parts)):
        part = files.read(key) if inline is None else inline
        if part is None or checksum != _checksum(key, part):
            return None
        found.append(part)
    return found if len(found) == parts else None


def _checksum(key: int, body: bytes) -> bytes:
    """The key is part of it, so that a part that the disk put elsewhere is noticed too."""
    hasher = hashlib.sha256(key.to_bytes(8, "big"))
    hasher.update(body)  # not joined: a copy of a large body costs more than its hash
    return hasher.digest()[:CHECKSUM_BYTES]


def _flush_file(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)
