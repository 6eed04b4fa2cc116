"""The daemon's part in what the account key does: it reads and inserts blocks for the command line.

The account key never enters the daemon (crypto 2), so the command line signs and has no link to the
ring; the blocks pass through the control socket. They prove themselves, so neither has to trust the
other.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from epost.crypto.versioned import key_block_handle, open_key_block
from epost.daemon.control import Command, ask
from epost.foundation.errors import NoSuchUser, UnavailableError
from epost.foundation.ids import BlockKind, Handle
from epost.node.assembly import Node
from epost.node.issuing_daemons import AskingConfig, ask_issuing_daemons
from epost.past.blocks import handle_of
from epost.past.client import Answered, Conflict, Reading
from epost.past.durability import Durability
from epost.post.accounts.contacts import ContactDevice
from epost.post.assembly import Post


class AccountDoor:
    """Commands of the control socket."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def commands(self) -> dict[str, Command]:
        """Return them by name."""
        return {
            "devices": self._devices,
            "lookup": self._lookup,
            "lookup-latest": self._lookup_latest,
            "lookup-copies": self._lookup_copies,
            "insert": self._insert,
            "ask-issuers": self._ask_issuers,
        }

    async def _devices(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        post = self._post()
        accounts = post.services.accounts
        accounts.forget(accounts.me.name)
        me = await accounts.resolve(accounts.me.name)
        listed = [await self._device(device) for device in me.devices]
        revoked = [{"number": r.number, "revoked_ms": r.at} for r in me.identity.revoked]
        return {"name": me.name, "devices": listed, "revoked": revoked}

    async def _device(self, device: ContactDevice) -> dict[str, Any]:
        info = device.info
        return {
            "number": device.certificate.number,
            "this": info is not None and info.contact.node_id == self._node.me.node_id,
            "added_ms": device.certificate.at,
            "node_id": "" if info is None else info.contact.node_id.hex(),
            "addresses": []
            if info is None
            else [f"{a.host}:{a.port}" for a in info.contact.addresses],
            "wrote_ms": await self._last_written(device),
        }

    async def _last_written(self, device: ContactDevice) -> int | None:
        """Return when the device last signed its log's head, as far as the ring can say."""
        if device.info is None:
            return None
        handle = key_block_handle(device.info.logs[-1].log_key)
        with suppress(UnavailableError):
            reading = await self._node.blocks.lookup_latest(handle)
            if reading.block is not None:
                return open_key_block(reading.block, expected=handle).body.issued_at
        return None

    async def _lookup(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"block": _text(await self._node.blocks.lookup(_handle(request)))}

    async def _lookup_latest(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        reading = await self._node.blocks.lookup_latest(_handle(request))
        block = None if reading.block is None else _text(reading.block)
        answered = reading.answered.value
        return {"block": block, "answered": answered, "confirmed": reading.confirmed}

    async def _lookup_copies(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        copies = await self._node.blocks.lookup_copies(_handle(request))
        return {"blocks": [_text(copy) for copy in copies]}

    async def _insert(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        post = self._post()
        block = _bytes(request["block"])
        kind = BlockKind(request["kind"])
        try:
            insertion = await self._node.blocks.insert(kind, block, mirror=request["mirror"])
        except Conflict as conflict:
            return {"rival": _text(conflict.block)}
        if insertion.handle.kind is BlockKind.KEY:  # the identity block: others may be new, or gone
            post.services.accounts.forget(post.services.accounts.me.name)
            post.siblings.wake()
        durability = insertion.durability
        return {"acked": durability.acked, "wanted": durability.wanted}

    async def _ask_issuers(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = _bytes(request["request"])
        return {"answer": _text(await ask_issuing_daemons(self._node, asked, AskingConfig()))}

    def _post(self) -> Post:
        if self._node.post is None:
            raise NoSuchUser("this machine only stores: it has no account")
        return self._node.post


class BlocksOfDaemon:
    """The ring's blocks, by way of the daemon of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def lookup(self, handle: Handle) -> bytes:
        """Return a block; raises ConfigError with what the daemon says."""
        return _bytes((await self._ask("lookup", **_named(handle)))["block"])

    async def lookup_latest(self, handle: Handle) -> Reading:
        """Return the newest version of a mutable block; raises as `lookup`."""
        answer = await self._ask("lookup-latest", **_named(handle))
        block = None if answer["block"] is None else _bytes(answer["block"])
        return Reading(block, Answered(answer["answered"]), bool(answer["confirmed"]))

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        """Return the different authentic copies of a block; raises as `lookup`."""
        answer = await self._ask("lookup-copies", **_named(handle))
        return [_bytes(copy) for copy in answer["blocks"]]

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool = True) -> Durability:
        """Insert a block; raises Conflict, and as `lookup`."""
        answer = await self._ask("insert", kind=int(kind), block=_text(block), mirror=mirror)
        if rival := answer.get("rival"):
            raise Conflict(handle_of(kind, block), _bytes(rival))
        acked, wanted = int(answer["acked"]), int(answer["wanted"])
        return Durability(acked, wanted, acked >= wanted)

    async def ask_issuers(self, request: bytes) -> bytes:
        """Return what a daemon that issues answers, by way of the ring; raises as `lookup`."""
        return _bytes((await self._ask("ask-issuers", request=_text(request)))["answer"])

    async def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return await asyncio.to_thread(ask, self._data_dir, command, **arguments)


def _named(handle: Handle) -> dict[str, Any]:
    return {"kind": int(handle.kind), "digest": _text(handle.digest)}


def _handle(request: Mapping[str, Any]) -> Handle:
    return Handle(BlockKind(request["kind"]), _bytes(request["digest"]))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
