"""Machines die in the middle of everything; nothing that was acknowledged is lost."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo import (
    RunningDemo,
    compose,
    epost,
    eventually,
    is_gone,
    running_demo,
    submit,
)

pytestmark = [pytest.mark.daemons, pytest.mark.timeout(600)]

READER = "bob"


@pytest.fixture(scope="module")
def lasting_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("lasting")) as running:
        yield running


@pytest.fixture
def demo(lasting_demo: RunningDemo) -> RunningDemo:
    """The ring of those who only kill daemons, made whole again after whoever had it before."""
    for node in lasting_demo.document()["nodes"]:
        if is_gone(node["pid"]):
            assert lasting_demo.restart(node["name"]).returncode == 0
    lasting_demo.wait_until_whole()
    return lasting_demo


@pytest.fixture
def own_demo(tmp_path: Path) -> Iterator[RunningDemo]:
    """A ring for who erases disks."""
    with running_demo(tmp_path) as running:
        yield running


def storage_nodes(demo: RunningDemo) -> list[str]:
    return [n["name"] for n in demo.document()["nodes"] if "user" not in n]


def test_two_of_five_die_with_their_disks_and_every_ring_durable_mail_is_readable(
    own_demo: RunningDemo,
) -> None:
    sent = {}
    for size in (2_000, 50_000, 300_000):
        message_id, octets = compose("alice@example.org", ["bob@example.org"], size=size)
        answer = own_demo.send("alice", [READER], octets)
        assert "ring-durable" in answer
        sent[message_id] = octets
    for message_id, octets in sent.items():
        assert own_demo.wait_for(READER, message_id) == octets
    victims = ["alice", storage_nodes(own_demo)[0]]
    own_demo.kill(*victims)
    for name in victims:
        own_demo.erase(name)
    for message_id, octets in sent.items():
        assert own_demo.wait_for(READER, message_id, seconds=30) == octets
    eventually(
        lambda: own_demo.status(READER)["storage"]["below_k"] == 0,
        "three replicas of everything again",
        seconds=120,
        every=1,
    )
    _every_part_lies_on_three(own_demo, sent)


def _every_part_lies_on_three(demo: RunningDemo, sent: dict[str, bytes]) -> None:
    from epost.daemon.control import ask

    folder = Path(demo.node(READER)["data_dir"])
    for message_id in sent:
        eventually(
            lambda message_id=message_id: all(
                len(part["holders"]) >= 3
                for part in ask(folder, "parts", message_id=message_id)["parts"]
            ),
            f"three holders of {message_id}",
            seconds=120,
            every=1,
        )


def test_all_die_at_once_under_load_and_every_acknowledged_mail_is_there_exactly_once(
    demo: RunningDemo,
) -> None:
    acknowledged: dict[str, bytes] = {}
    enough = threading.Event()

    def load() -> None:
        with contextlib.suppress(OSError, AssertionError, EOFError), demo.smtp("alice") as client:
            for number in range(500):
                message_id, octets = compose(
                    "alice@example.org", ["bob@example.org"], subject=f"load {number}"
                )
                submit(client, "alice@example.org", ["bob@example.org"], octets)
                acknowledged[message_id] = octets
                if len(acknowledged) >= 120:
                    enough.set()

    thread = threading.Thread(target=load)
    thread.start()
    assert enough.wait(120), "the load did not get going"
    demo.kill(*demo.names())
    thread.join()
    for name in demo.names():
        result = demo.restart(name)
        assert result.returncode == 0, result.stderr
    for message_id, octets in acknowledged.items():
        assert demo.wait_for(READER, message_id, seconds=90) == octets
    inbox = demo.inbox(READER)  # fails on a mail that is there twice
    assert {k: v for k, v in inbox.items() if k in acknowledged} == acknowledged


def test_mail_to_a_sleeping_user_arrives_even_if_the_sender_is_gone_by_then(
    demo: RunningDemo,
) -> None:
    demo.kill("carol")
    sent = {}
    for size in (3_000, 100_000):
        message_id, octets = compose("alice@example.org", ["carol@example.org"], size=size)
        answer = demo.send("alice", ["carol"], octets)
        assert "ring-durable" in answer
        sent[message_id] = octets
    demo.kill("alice")
    assert demo.restart("carol").returncode == 0
    for message_id, octets in sent.items():
        assert demo.wait_for("carol", message_id) == octets


def test_alone_a_user_reads_searches_flags_and_queues_and_it_leaves_when_others_return(
    demo: RunningDemo,
) -> None:
    message_id, octets = compose("alice@example.org", ["bob@example.org"], size=40_000)
    demo.send("alice", ["bob"], octets)
    demo.wait_for("bob", message_id)
    others = [n for n in demo.names() if n != "bob"]
    demo.kill(*others)
    assert demo.wait_for("bob", message_id) == octets
    with demo.imap("bob") as client:
        client.select("INBOX")
        uid = client.uid("SEARCH", "SUBJECT", '"a mail"')[1][0].split()[0].decode()
        assert client.uid("STORE", uid, "+FLAGS", r"(\Flagged)")[0] == "OK"
        assert client.uid("SEARCH", "FLAGGED")[1][0].split() == [uid.encode()]
    queued_id, queued = compose("bob@example.org", ["alice@example.org"], size=20_000)
    assert "held locally" in demo.send("bob", ["alice"], queued)
    queue = epost("queue", "--data-dir", demo.node("bob")["data_dir"], "--json")
    assert "alice@example.org" in queue.stdout
    for name in others:
        assert demo.restart(name).returncode == 0
    assert demo.wait_for("alice", queued_id, seconds=90) == queued


def test_a_killed_daemon_stays_dead_until_asked_for_and_an_erased_one_is_told_apart(
    own_demo: RunningDemo,
) -> None:
    before = {name: own_demo.node(name)["node_id"] for name in storage_nodes(own_demo)}
    own_demo.kill(*before, "carol")
    for name in (*before, "carol"):
        own_demo.erase(name)
    for name in before:  # the first one runs the authority, and takes in the second
        result = own_demo.restart(name)
        assert result.returncode == 0, result.stderr
        assert own_demo.node(name)["node_id"] != before[name]
    result = own_demo.restart("carol")
    assert result.returncode == 1
    assert "recover" in result.stderr


def test_the_same_folder_is_the_same_organisation_with_all_its_mail(tmp_path: Path) -> None:
    with running_demo(tmp_path, nodes=3) as first:
        message_id, octets = compose("alice@example.org", ["bob@example.org"], size=30_000)
        first.send("alice", ["bob"], octets)
        first.wait_for("bob", message_id)
        before = first.document()["nodes"]
    with running_demo(tmp_path, nodes=3) as second:
        assert second.wait_for("bob", message_id) == octets
        for old, new in zip(before, second.document()["nodes"], strict=True):
            assert {k: v for k, v in old.items() if k != "pid"} == {
                k: v for k, v in new.items() if k != "pid"
            }
