"""One demo for all end-to-end tests that leave it as they found it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo import RunningDemo, running_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(Path(tmp_path_factory.mktemp("demo"))) as running:
        yield running
