"""What tests tell beside passing: counts and measurements, printed when all is over."""

from collections.abc import Callable
from functools import partial

import pytest

TOLD = "told"


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
