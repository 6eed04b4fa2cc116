"""The device's sealing keys: a new one every week, old ones destroyed once nothing can need them
(crypto 7.3).

A key may still be needed while delegates somewhere keep notices that are sealed to it. So it goes
only after a grace, and after a drain: for a day the ring was there, presence was announced, and
nobody brought anything sealed to an old key. While the machine is away this clock stands still.
What comes later nevertheless is answered with `reseal`, and its sender seals it anew.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

import msgspec

from epost.crypto.certificates import V1
from epost.foundation.codec import Format, encode
from epost.foundation.errors import RefusedError, UnavailableError
from epost.foundation.ids import U63
from epost.foundation.ports import PutNote
from epost.post.accounts.blocks import KeyId
from epost.post.accounts.device_block import DeviceBlock
from epost.post.accounts.devices import (
    PREKEYS_KEPT_MAX,
    Device,
    DeviceSecrets,
    SecretStore,
    make_prekey,
    with_new_prekey,
)
from epost.post.config import PostConfig
from epost.post.observed import PrekeysDestroyed
from epost.post.ports import NodePorts

TABLE = "post.prekeys"
_KEY = b"state"


class Shown(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Since when (ms) the ring has shown a key as this device's newest."""

    key_id: KeyId
    since: U63


class _State(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`shown` ascends; `quiet_since` is 0 while old keys are in use; times in milliseconds."""

    format: V1
    shown: Annotated[tuple[Shown, ...], msgspec.Meta(max_length=PREKEYS_KEPT_MAX)]
    quiet_since: U63
    looked_at: U63


_STATE: Format[_State] = Format(_State, size_max=64 * 1024)


class Prekeys:
    """Makes sealing keys and destroys them."""

    def __init__(
        self,
        *,
        device: Device,
        device_block: DeviceBlock,
        ports: NodePorts,
        secret_store: SecretStore,
        config: PostConfig,
    ) -> None:
        self._device = device
        self._device_block = device_block
        self._ports = ports
        self._secret_store = secret_store
        self._config = config
        self._state = _State(1, (), 0, 0)
        if (stored := ports.disk.note(TABLE, _KEY)) is not None:
            self._state = _STATE.decode(stored)

    def seed_of(self, wanted: bytes) -> bytes | None:
        """Return our private key by its id, for an envelope that is being opened.

        An old key in use ends the quiet: whoever brought this may have more.
        """
        seed = self._device.prekey_seed(wanted)
        shown = self._state.shown
        is_old = not shown or wanted != shown[-1].key_id
        if seed is not None and is_old and self._state.quiet_since:
            self._state = msgspec.structs.replace(self._state, quiet_since=0)
            self._ports.stories.run_story(self._save())
        return seed

    async def keep(self) -> None:
        """Renew, and destroy what is due, for ever."""
        while True:
            await asyncio.sleep(self._config.prekey_check_seconds)
            with suppress(UnavailableError, RefusedError):  # at the next look
                await self.renew()
                await self.look()

    async def renew(self) -> bool:
        """Publish a new key if the newest is old enough; tells whether it was.

        The private half is on disk before the public half is sent.
        """
        now_ms = self._ports.clock.wall_ms()
        age_ms = now_ms - self._device.secrets.prekeys[-1].created_at
        if age_ms < self._config.prekey_seconds * 1000:
            return False
        seed = self._ports.entropy.token(32)
        await self._device.change(
            self._secret_store, lambda secrets: with_new_prekey(secrets, seed, now_ms)
        )
        await self._device_block.publish()
        return True

    async def look(self) -> None:
        """Note whether the ring is here and quiet; then destroy what has been old for long enough.

        Raises UnavailableError and RefusedError as the device block does.
        """
        began = self._ports.clock.wall_ms()
        if not (await self._device_block.publish()).ring_durable:
            return  # cut off: those who hold something for us may be on the other side
        self._note_look(began)
        await asyncio.sleep(self._config.drain_settle_seconds)
        now_ms = self._ports.clock.wall_ms()
        has_slept = now_ms - began > 2000 * self._config.drain_settle_seconds
        if has_slept or not self._ports.is_clock_sound():
            return  # nobody can be expected to have come in this time
        quiet_since = self._state.quiet_since or now_ms
        self._state = msgspec.structs.replace(self._state, quiet_since=quiet_since)
        if now_ms - quiet_since >= self._config.drain_seconds * 1000:
            await self._destroy(now_ms)
        await self._save()

    def _note_look(self, now_ms: int) -> None:
        """Take down which key the ring shows, and let the clock stand still for an absence."""
        state = self._state
        away_ms = now_ms - state.looked_at
        if state.looked_at and away_ms > self._config.drain_away_seconds * 1000:
            moved = tuple(Shown(s.key_id, s.since + away_ms) for s in state.shown)
            state = msgspec.structs.replace(state, shown=moved, quiet_since=0)
        newest = make_prekey(self._device.secrets.prekeys[-1], self._ports.sealing).key_id
        shown = state.shown
        if not shown or shown[-1].key_id != newest:
            shown = (*shown, Shown(newest, now_ms))[-PREKEYS_KEPT_MAX:]
        self._state = msgspec.structs.replace(state, shown=shown, looked_at=now_ms)

    async def _destroy(self, now_ms: int) -> None:
        """Destroy all keys before the newest that has been shown for the grace."""
        grace_ms = self._config.prekey_grace_seconds * 1000
        long_shown = [s for s in self._state.shown if s.since + grace_ms <= now_ms]
        if not long_shown:
            return
        ids = [make_prekey(p, self._ports.sealing).key_id for p in self._device.secrets.prekeys]
        oldest_kept = long_shown[-1].key_id
        if oldest_kept not in ids[1:]:
            return
        number = ids.index(oldest_kept)
        await self._device.change(self._secret_store, lambda s: _without_oldest(s, number))
        self._state = msgspec.structs.replace(
            self._state, shown=self._state.shown[len(long_shown) - 1 :]
        )
        self._ports.observer.record(PrekeysDestroyed(number))

    async def _save(self) -> None:
        await self._ports.disk.durable([PutNote(TABLE, _KEY, encode(self._state))])


def _without_oldest(secrets: DeviceSecrets, number: int) -> DeviceSecrets:
    return msgspec.structs.replace(secrets, prekeys=secrets.prekeys[number:])
