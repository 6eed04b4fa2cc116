"""What a running demo tells other programs: demo.json, and the metrics that it names."""

import json
import urllib.error
import urllib.request

import pytest

from tests.support.demo import RunningDemo

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(300)]


def test_the_full_description_of_a_demo_is_in_demo_json(demo: RunningDemo) -> None:
    document = demo.document()
    assert document["demo_pid"] == demo.process.pid
    assert len(document["nodes"]) == 5
    for node in document["nodes"]:
        assert {"name", "node_id", "pid", "data_dir", "log_file", "metrics_url"} <= node.keys()
        with urllib.request.urlopen(node["metrics_url"], timeout=10) as answer:
            text = answer.read().decode()
        for metric in ("epost_blocks", "epost_blocks_below_k", "epost_queue"):
            assert metric in text
    users = [n for n in document["nodes"] if "user" in n]
    assert [u["user"] for u in users] == [f"{n}@example.org" for n in ("alice", "bob", "carol")]
    for user in users:
        for service in ("smtp", "imap"):
            assert {"host", "port", "security", "ca_file"} == user[service].keys()
    secrets = demo.directory / "demo-secrets.json"
    assert secrets.stat().st_mode & 0o077 == 0
    assert len(json.loads(secrets.read_text())["nodes"][0]["recovery_words"].split()) == 24


def test_metrics_are_refused_to_a_page_that_was_led_here_by_a_foreign_name(
    demo: RunningDemo,
) -> None:
    url = demo.node("bob")["metrics_url"]
    request = urllib.request.Request(url, headers={"Host": "evil.example.com"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)
