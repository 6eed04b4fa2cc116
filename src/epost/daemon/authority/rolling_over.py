"""Replacing the organisation's root key: the former one hands over to the next (crypto 3.7).

The next key is on disk before anything names it, and the public part is what switches: a run that
was cut off leaves either the former or the next key in force, never none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from epost.crypto.versioned import open_key_block
from epost.daemon.authority.founding import Organisation, rolled_over, write_public
from epost.daemon.authority.keys import draw_root_keys, load_root_keys, settle_root_keys
from epost.daemon.authority.register import Register
from epost.daemon.authority.world import World
from epost.rings.policy import read_root_block
from epost.rings.succession import open_succession

_FORMER = "former root"


def roll_over(
    directory: Path, public: Organisation, register: Register, key: bytes, world: World
) -> Organisation:
    """Put a new root key in force; `key` is the present one's public half. Raises ConfigError."""
    former = load_root_keys(directory, key)
    following = draw_root_keys(directory, world.entropy)
    switched, last = rolled_over(public, former, following, world.clock.wall_ms())
    with register.transaction():
        register.put_block(f"{_FORMER} {key.hex()}", last)
    write_public(directory, switched)
    settle_root_keys(directory)
    return switched


def former_root_blocks(register: Register, key: bytes, ring: bytes) -> Sequence[bytes]:
    """Return the last root blocks of former keys, the newest first, that lead to this one.

    One whose run was cut off before the switch leads nowhere, and must not be shown to anybody.
    """
    waiting = {open_key_block(data).body.public_key: data for data in register.blocks(_FORMER)}
    leading: list[bytes] = []
    wanted = key
    while waiting:
        found = next((k for k, d in waiting.items() if _leads_to(d, k, ring) == wanted), None)
        if found is None:
            break
        leading.append(waiting.pop(found))
        wanted = found
    return leading


def _leads_to(data: bytes, key: bytes, ring: bytes) -> bytes:
    content = read_root_block(open_key_block(data), key, ring)
    return open_succession(content.succession, key, ring).organisation.organisation_key
