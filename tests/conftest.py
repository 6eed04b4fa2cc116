"""What tests tell beside passing: counts and measurements, printed when all is over.

And how hypothesis draws: the same examples in every run, for as long as it takes. A test that fails
does so whenever it is run, and none fails because the machine is slow. EXPLORE=1 draws others.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TOLD = "told"
PROPERTIES = Path(__file__).parent / "properties"

settings.register_profile(
    "epost",
    deadline=None,
    derandomize=not os.environ.get("EXPLORE"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("epost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Properties run the lines of the unit tests a hundred times: tracing that tells nothing."""
    for item in items:
        if item.path.is_relative_to(PROPERTIES):
            item.add_marker(pytest.mark.no_cover)


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
