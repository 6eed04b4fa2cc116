"""Batteries of Linux machines, and what NetworkManager answers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from epost.daemon import power as power_module
from epost.daemon.power import LinuxPowerAndLink, pause_after, read_metered


def supply(folder: Path, name: str, **files: str) -> None:
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / file).write_text(f"{text}\n")


def test_a_desktop_and_a_machine_without_the_files_are_on_mains(tmp_path: Path) -> None:
    assert not LinuxPowerAndLink(lambda: 0.0, tmp_path / "nothing").on_battery()
    supply(tmp_path, "mouse", type="Battery", scope="Device", status="Discharging")
    assert not LinuxPowerAndLink(lambda: 0.0, tmp_path).on_battery()
    supply(tmp_path, "BAT0", type="Battery", status="Discharging")
    assert LinuxPowerAndLink(lambda: 0.0, tmp_path).on_battery()


def test_what_was_read_is_believed_for_a_while(tmp_path: Path) -> None:
    now = [0.0]
    power = LinuxPowerAndLink(lambda: now[0], tmp_path)
    assert not power.on_battery()
    supply(tmp_path, "BAT0", type="Battery", status="Discharging")
    now[0] = 29.0
    assert not power.on_battery()
    now[0] = 30.0
    assert power.on_battery()


@pytest.mark.parametrize(
    ("answer", "metered"),
    [("u 1\n", True), ("u 3\n", True), ("u 2\n", False), ("u 4\n", False), ("", False)],
)
def test_only_a_link_that_is_or_seems_metered_is_one(answer: str, metered: bool) -> None:
    assert read_metered(answer) is metered
    assert not read_metered(answer.replace("u", "s"))


def test_who_does_not_answer_is_not_asked_every_minute() -> None:
    assert pause_after("u 4\n") == 60.0
    assert pause_after("") == 3600.0


def test_the_network_manager_is_asked_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        power = LinuxPowerAndLink(lambda: 0.0, tmp_path)
        watching = asyncio.create_task(power.watch_link())
        async with asyncio.timeout(20.0):
            while not power.is_metered():
                await asyncio.sleep(0.01)
        watching.cancel()

    program = tmp_path / "busctl"
    program.write_text("#!/bin/sh\necho u 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    asyncio.run(story())


def test_without_a_network_manager_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_module.shutil, "which", lambda _: None)
    power = LinuxPowerAndLink(lambda: 0.0)
    asyncio.run(power.watch_link())
    assert not power.is_metered()
