"""The real world: its loop."""

from __future__ import annotations

import asyncio
import sys

import pytest

from epost.daemon import world


def test_the_daemon_runs_on_uvloop_where_there_is_one() -> None:
    async def loop_module() -> str:
        return type(asyncio.get_running_loop()).__module__

    pytest.importorskip("uvloop")
    assert world.run(loop_module()) == "uvloop"
    assert sys.getswitchinterval() == pytest.approx(world.SWITCH_SECONDS)
    sys.setswitchinterval(0.005)


def test_the_daemon_falls_back_to_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    async def loop_module() -> str:
        return type(asyncio.get_running_loop()).__module__

    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert world.run(loop_module()).startswith("asyncio")
    sys.setswitchinterval(0.005)
