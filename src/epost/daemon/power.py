"""Is the machine on battery, or its network paid by volume? (Linux; elsewhere: no.)

Batteries and chargers are files under /sys/class/power_supply. Whether the network is metered only
NetworkManager knows: asked through `busctl` now and then, and not at all where there is none.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SUPPLIES = Path("/sys/class/power_supply")
LOOK_SECONDS = 30.0
"""What was read is believed for so long."""
ASK_SECONDS = 60.0
ASK_AGAIN_SECONDS = 3600.0
"""After no answer: most machines with `busctl` have no NetworkManager, and never will."""
ANSWER_SECONDS = 5.0
ANSWER_BYTES_MAX = 200
_METERED = {"1", "3"}
"""NetworkManager's NM_METERED_YES and NM_METERED_GUESS_YES."""
_QUESTION = (
    *("--system", "get-property", "org.freedesktop.NetworkManager"),
    *("/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager", "Metered"),
)


class LinuxPowerAndLink:
    """What this machine runs on; unknown counts as mains and a free link."""

    def __init__(self, now: Callable[[], float], supplies: Path = SUPPLIES) -> None:
        self._now = now
        self._supplies = supplies
        self._looked_at = -LOOK_SECONDS
        self._on_battery = False
        self._is_metered = False

    def on_battery(self) -> bool:
        """Does a battery run down while no charger is connected?"""
        if self._now() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self._now()
            self._on_battery = _runs_on_battery(self._supplies)
        return self._on_battery

    def is_metered(self) -> bool:
        """Did NetworkManager call the connection metered when it was last asked?"""
        return self._is_metered

    async def watch_link(self) -> None:
        """Ask NetworkManager now and then, for ever; returns at once where there is none."""
        program = shutil.which("busctl")
        while program is not None:
            answer = await _answer_of(program)
            self._is_metered = read_metered(answer)
            await asyncio.sleep(pause_after(answer))


def pause_after(answer: str) -> float:
    """Return in how many seconds to ask again: rarely, if nobody answered."""
    return ASK_SECONDS if answer else ASK_AGAIN_SECONDS


def read_metered(answer: str) -> bool:
    """Read what `busctl get-property` prints, such as "u 4"; anything else is no."""
    kind, _, value = answer.strip().partition(" ")
    return kind == "u" and value in _METERED


def _runs_on_battery(supplies: Path) -> bool:
    found = [_Supply(folder) for folder in sorted(supplies.glob("*"))]
    if any(supply.is_charger and supply.read("online") == "1" for supply in found):
        return False
    return any(supply.is_battery and supply.read("status") == "Discharging" for supply in found)


class _Supply:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        kind = self.read("type")
        # The battery of a mouse is a supply too, of the scope "Device".
        self.is_battery = kind == "Battery" and self.read("scope") != "Device"
        self.is_charger = kind in {"Mains", "USB", "Wireless"}

    def read(self, name: str) -> str:
        """Return the first line of a file; empty if it cannot be read."""
        with suppress(OSError, UnicodeDecodeError):
            return (self._folder / name).read_text().strip()
        return ""


async def _answer_of(program: str) -> str:
    with suppress(OSError, TimeoutError, UnicodeDecodeError):
        process = await asyncio.create_subprocess_exec(
            program,
            *_QUESTION,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return output[:ANSWER_BYTES_MAX].decode()
    return ""
