"""Writing small files so that a crash leaves the old or the new one, readable by us only."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from epost.foundation.errors import ConfigError

PRIVATE_FOLDER = 0o700


def make_private_folder(path: Path) -> Path:
    """Create a folder (and parents) that only this user can enter; raises ConfigError."""
    try:
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        path.chmod(PRIVATE_FOLDER)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be created: {error.strerror}") from error
    return path


def write_private(path: Path, data: bytes) -> None:
    """Replace a file whole and durably; mode 0600. An OSError names the file itself."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def replace_secret(path: Path, data: bytes) -> None:
    """Replace a file as `write_private` does, and overwrite what was in it before.

    Best effort: a disk may keep old copies of its own accord.
    """
    try:
        former = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        write_private(path, data)
        return
    try:
        write_private(path, data)
        os.pwrite(former, bytes(os.fstat(former).st_size), 0)
        os.fsync(former)
    finally:
        os.close(former)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other process off a folder, by a file in it; raises ConfigError if one is there.

    The kernel ends it with the process, however that ends.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"{path}: another epost works with this folder. Stop that one first."
            ) from error
        yield
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_required(path: Path, remedy: str) -> bytes:
    """Read a file that must exist; raises ConfigError with what to do."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist. {remedy}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
