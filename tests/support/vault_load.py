"""A process that writes to a vault as fast as it can and says what was acknowledged.

Prints, line by line, how many commits are acknowledged so far; they are acknowledged in order.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

from epost.daemon.vault import SqliteVault
from epost.foundation.ports import ExtendBlock, PutBlock, PutNote, Role, VaultEntry
from tests.support.nodes import content_handle
from tests.support.vaults import Recorder

UNDER_WAY_MAX = 40
SUFFIX = b" and more"


def body_of(number: int) -> bytes:
    """Every tenth body is large enough to be a file."""
    seed = hashlib.sha256(b"%d" % number).digest()
    return seed * (10_000 if number % 10 == 0 else 30)


def extended_of(number: int) -> bytes:
    return body_of(number) + SUFFIX


def write(vault: SqliteVault, number: int) -> asyncio.Future[None]:
    body = body_of(number)
    handle = content_handle(body)
    return vault.commit(
        [
            PutBlock(VaultEntry(handle, len(body), Role.REPLICA), body),
            ExtendBlock(VaultEntry(handle, len(body) + len(SUFFIX), Role.REPLICA), SUFFIX),
            PutNote("numbers", b"%d" % number, body[:10]),
        ]
    )


async def main(folder: Path) -> None:
    vault = SqliteVault(folder, contributed_bytes_max=1 << 40, observer=Recorder(), reserve_bytes=0)
    under_way: list[asyncio.Future[None]] = []
    number = 0
    while True:
        under_way.append(write(vault, number))
        number += 1
        if len(under_way) >= UNDER_WAY_MAX:
            await under_way.pop(0)
            print(number - len(under_way), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
