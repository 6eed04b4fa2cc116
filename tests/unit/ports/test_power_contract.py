"""What both say about the power and the link of a machine: the files of Linux, and the twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from epost.daemon.power import LOOK_SECONDS, LinuxPowerAndLink
from epost.node.thrift import PowerAndLink
from epost.simulation.power import SimulatedPowerAndLink

Setting = tuple[PowerAndLink, Callable[[bool], None]]


def on_linux(folder: Path) -> Setting:
    now = [0.0]
    charger, battery = folder / "AC", folder / "BAT0"
    for supply, kind in ((charger, "Mains"), (battery, "Battery")):
        supply.mkdir()
        (supply / "type").write_text(f"{kind}\n")

    def unplug(is_unplugged: bool) -> None:
        (charger / "online").write_text("0\n" if is_unplugged else "1\n")
        (battery / "status").write_text("Discharging\n" if is_unplugged else "Charging\n")
        now[0] += LOOK_SECONDS

    unplug(False)
    return LinuxPowerAndLink(lambda: now[0], folder), unplug


def simulated(folder: Path) -> Setting:
    power = SimulatedPowerAndLink()

    def unplug(is_unplugged: bool) -> None:
        power.battery = is_unplugged

    return power, unplug


@pytest.mark.parametrize("twin", [on_linux, simulated])
def test_a_machine_is_on_battery_while_its_charger_is_out(
    twin: Callable[[Path], Setting], tmp_path: Path
) -> None:
    power, unplug = twin(tmp_path)
    assert not power.on_battery()
    unplug(True)
    assert power.on_battery()
    unplug(False)
    assert not power.on_battery()
    assert not power.is_metered()
