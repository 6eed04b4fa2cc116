"""A node on battery or on a metered link copies nothing in the background, unless allowed."""

from epost.node.thrift import Mains, Thrift, ThriftConfig
from epost.simulation.power import SimulatedPowerAndLink


def test_copying_waits_on_battery_and_on_a_metered_link() -> None:
    power = SimulatedPowerAndLink()
    thrift = Thrift(power, ThriftConfig())
    assert thrift.may_copy()
    power.metered = True
    assert thrift.reason() == "the link is metered"
    power.battery = True
    assert thrift.reason() == "on battery"
    assert not thrift.may_copy()


def test_the_operator_may_allow_either() -> None:
    power = SimulatedPowerAndLink(battery=True, metered=True)
    assert Thrift(power, ThriftConfig(copies_on_battery=True)).reason() == "the link is metered"
    assert Thrift(power, ThriftConfig(True, True)).may_copy()
    assert Thrift(Mains(), ThriftConfig()).may_copy()
