"""The real spool: files without a name, encrypted under keys that are never written down.

A mail on its way in or out may be larger than memory. Its plaintext must not lie on the disk, not
even in blocks that a file system has freed; and what a crash leaves must be nothing. So each file
has a key of its own in memory (AES-256 in counter mode: whoever could change the file could change
the program), and no name: the system frees it when it is closed, however the program ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from functools import partial
from pathlib import Path
from weakref import WeakSet

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from epost.apps.mail.ports import Offload
from epost.foundation.errors import DiskFull
from epost.foundation.octets import Octets
from epost.foundation.spool import SpoolWriter

IN_MEMORY_BYTES_MAX = 1024 * 1024
"""Octets that one writer holds in memory; shorter runs never touch the disk."""
SPOOLED_MAILS_MAX = 4
"""So many mails of the largest size are in the spool at a time."""
FREE_BYTES_MIN = 64 * 1024 * 1024
"""Left to others on the disk: the vault refuses new mail only when it has less."""
_CIPHER_BLOCK_BYTES = 16


class DiskSpool:
    """Files in one folder, which together have at most SPOOLED_MAILS_MAX times a mail's size."""

    def __init__(self, folder: Path, offload: Offload, mail_bytes_max: int) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        for left in folder.iterdir():  # where files cannot be made without a name
            left.unlink()
        self._folder = folder
        self._offload = offload
        self._bytes_max = SPOOLED_MAILS_MAX * mail_bytes_max
        self._files = WeakSet[SpooledOctets]()

    @property
    def used_bytes(self) -> int:
        """Octets in all files that somebody holds."""
        return sum(map(len, self._files))

    def begin(self) -> SpoolWriter:
        """Begin a new run of octets."""
        return _Writer(self, self._offload)

    def require_room(self, size: int) -> None:
        """Raise DiskFull unless so many octets more may be written."""
        if self.used_bytes + size > self._bytes_max:
            raise DiskFull("too many large mails are on their way in or out at this moment")
        if shutil.disk_usage(self._folder).free < FREE_BYTES_MIN + size:
            raise DiskFull("no room left on this machine's disk")

    def new_file(self) -> SpooledOctets:
        """Begin a file without a name; raises OSError."""
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            octets = SpooledOctets(os.dup(file.fileno()))
        self._files.add(octets)
        return octets


class _Writer:
    def __init__(self, spool: DiskSpool, offload: Offload) -> None:
        self._spool = spool
        self._offload = offload
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._file: SpooledOctets | None = None

    def write(self, octets: bytes, /) -> None:
        self._waiting.append(octets)
        self._waiting_bytes += len(octets)

    async def drain(self) -> None:
        if self._waiting_bytes >= IN_MEMORY_BYTES_MAX:
            await self._spill()

    async def finish(self) -> Octets:
        if self._file is None:
            return b"".join(self._waiting)
        await self._spill()
        return self._file

    async def _spill(self) -> None:
        self._spool.require_room(self._waiting_bytes)
        octets, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
        try:
            if self._file is None:
                self._file = self._spool.new_file()
            self._file.announce(len(octets))
            await self._offload(partial(self._file.append, octets))
        except OSError as error:
            raise DiskFull(f"the spool cannot be written: {error.strerror}") from error


class SpooledOctets:
    """One file; it is closed, and its room free, when nobody holds it any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = 0
        self._key = AES256(secrets.token_bytes(32))
        self._encryptor = Cipher(self._key, CTR(bytes(_CIPHER_BLOCK_BYTES))).encryptor()

    def __del__(self) -> None:
        os.close(self._descriptor)

    def announce(self, size: int) -> None:
        """Note that so many octets are about to be appended."""
        self._size += size

    def append(self, octets: bytes) -> None:
        """Write octets behind the others; raises OSError."""
        written = memoryview(self._encryptor.update(octets))
        while written:
            written = written[os.write(self._descriptor, written) :]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, _ = key.indices(self._size)
        if start >= stop:
            return b""
        block, skipped = divmod(start, _CIPHER_BLOCK_BYTES)
        counter = block.to_bytes(_CIPHER_BLOCK_BYTES, "big")
        decryptor = Cipher(self._key, CTR(counter)).decryptor()
        at = start - skipped
        encrypted = _read(self._descriptor, stop - at, at)
        return decryptor.update(encrypted)[skipped:]


def _read(descriptor: int, size: int, at: int) -> bytes:
    """Read exactly so many octets, which are there."""
    pieces: list[bytes] = []
    while size:
        piece = os.pread(descriptor, size, at)
        assert piece, "the file has become shorter"
        pieces.append(piece)
        size -= len(piece)
        at += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
