"""A ring of any size is an ordinary one, and says what it promises."""

from pathlib import Path

import pytest

from tests.support.demo import epost

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(300)]

REPLICATION_FACTOR = 3


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5])
def test_a_demo_of_any_size_delivers_and_does_so_again_on_the_same_folder(
    nodes: int, tmp_path: Path
) -> None:
    copies = min(REPLICATION_FACTOR, nodes)
    for is_new in (True, False):
        result = epost("demo", "--once", "--dir", str(tmp_path), "--nodes", str(nodes))
        assert result.returncode == 0, result.stdout + result.stderr
        said = " ".join(result.stdout.split())
        assert f"ring-durable: on {copies} of {copies} machines" in said
        assert f"on at least {copies} machine" in said
        assert ("Only the first" in said) == (is_new and nodes < 3)
