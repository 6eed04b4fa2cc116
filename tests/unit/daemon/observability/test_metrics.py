"""Who may read /metrics, and what stands there."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from epost.daemon.observability.metrics import Gauges, MetricsServer, read_token
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address
from epost.servers.access import EveryPeer, PeerCheck

LOOPBACK = Address("127.0.0.1", 0)


def read(port: int, headers: Mapping[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answers(peer_check: PeerCheck | None, *requests: Mapping[str, str]) -> list[tuple[int, str]]:
    registry = CollectorRegistry()
    registry.register(Gauges(lambda: {"answer": ("The answer", 42.0)}))

    async def serve() -> list[tuple[int, str]]:
        server = MetricsServer(registry, token="secret", peer_check=peer_check)
        await server.start(LOOPBACK)
        found = [await asyncio.to_thread(read, server.port, headers) for headers in requests]
        await server.close()
        return found

    return asyncio.run(serve())


def test_an_own_program_needs_no_token() -> None:
    ((status, text),) = answers(EveryPeer(), {})
    assert status == 200
    assert "epost_answer 42.0" in text


def test_where_uids_cannot_be_told_only_the_token_opens() -> None:
    right, wrong = {"Authorization": "Bearer secret"}, {"Authorization": "Bearer guess"}
    assert [status for status, _ in answers(None, {}, wrong, right)] == [403, 403, 200]


def test_a_page_of_a_foreign_name_gets_nothing_even_with_the_token() -> None:
    rebound = {"Authorization": "Bearer secret", "Host": "evil.example"}
    ((status, text),) = answers(EveryPeer(), rebound)
    assert status == 403
    assert "42" not in text


def test_the_token_is_made_once_and_readable_by_us_only(tmp_path: Path) -> None:
    token = read_token(tmp_path)
    assert len(token) >= 32
    assert read_token(tmp_path) == token
    assert (tmp_path / "metrics-token").stat().st_mode & 0o777 == 0o600


def test_a_port_that_is_taken_is_named() -> None:
    async def serve() -> None:
        first = MetricsServer(CollectorRegistry(), token="a", peer_check=None)
        await first.start(LOOPBACK)
        second = MetricsServer(CollectorRegistry(), token="b", peer_check=None)
        with pytest.raises(ConfigError, match=str(first.port)):
            await second.start(Address("127.0.0.1", first.port))
        await first.close()

    asyncio.run(serve())
