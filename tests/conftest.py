"""What tests tell beside passing: counts and measurements, printed when all is over.

And how hypothesis draws: the same examples in every run, for as long as it takes. A test that fails
does so whenever it is run, and none fails because the machine is slow. EXPLORE=1 draws others.
"""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOLD = "told"
TESTS = Path(__file__).parent
PROPERTIES = TESTS / "properties"
SIMULATIONS = TESTS / "simulation"
DAEMONS_HERE = TESTS / "unit" / "daemon"
"""Many tests there run daemons in this process; those with processes of their own have a mark."""

settings.register_profile(
    "epost",
    deadline=None,
    derandomize=not os.environ.get("EXPLORE"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("epost")


Unit = list[pytest.Item]
"""Tests that one worker runs one after the other, since they share what is set up for them."""


def unit_of(nodeid: str) -> str:
    """Return what names a test's unit: all tests with mail programs have one demo, those of a file
    of tests/e2e what their fixtures start; any other test may run anywhere."""
    path = nodeid.partition("::")[0]
    if path.startswith("tests/interop/"):
        return "tests/interop"
    return path if path.startswith("tests/e2e/") else nodeid


class UnitScheduling(LoadScopeScheduling):
    """Hands out whole units. (xdist's own loadgroup does nothing with pytest 9.2: it writes the
    group into an attribute that is not read any more.)"""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> UnitScheduling:
    return UnitScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Properties run the lines of the unit tests a hundred times: tracing that tells nothing."""
    for item in items:
        if item.path.is_relative_to(PROPERTIES):
            item.add_marker(pytest.mark.no_cover)
    items[:] = _waiting_beside_computing(items)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Trace nothing of a test marked no_cover.

    In a worker pytest-cov 7.1 starts two collectors, one over the other, and pauses the upper one
    for such a test: the lower one would trace it, three times as slow, and for nothing.
    """
    if item.get_closest_marker("no_cover") is None:
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


def _waiting_beside_computing(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Daemons mostly wait, simulated hours never do: taken in turn, they keep all cores busy.

    The longest of both come first, so that no worker is still at one when the others have ended.
    """
    units: dict[str, Unit] = {}
    for item in items:
        units.setdefault(unit_of(item.nodeid), []).append(item)
    waiting = sorted(filter(_waits, units.values()), key=lambda unit: -len(unit))
    computing = [unit for unit in units.values() if not _waits(unit)]
    computing.sort(key=lambda unit: not unit[0].path.is_relative_to(SIMULATIONS))
    in_turn = chain.from_iterable(zip_longest(waiting, computing, fillvalue=()))
    return list(chain.from_iterable(in_turn))


def _waits(unit: Unit) -> bool:
    return unit[0].get_closest_marker("daemons") is not None or unit[0].path.is_relative_to(
        DAEMONS_HERE
    )


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Have a text printed at the end; it comes through from workers whose output is lost."""
    return partial(record_property, TOLD)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == TOLD:
                    terminalreporter.write_line(str(text))
