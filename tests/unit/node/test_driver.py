"""The driver: turns, durable before acknowledged, bounds, failures, a clean stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from epost.foundation.effects import Caller
from epost.foundation.errors import (
    CallTimedOut,
    DiskFull,
    MalformedPacket,
    NoSuchBlock,
    PeerRefused,
    UnavailableError,
)
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import PutBlock, PutNote
from epost.foundation.wire import Application, Form, RefusalCode, pack
from epost.node import driver as driver_module
from epost.node import loads as loads_module
from epost.node.driver import Driver
from epost.node.observed import MessageRejected, NodeFailed, StoryFailed
from epost.simulation.host import SimulatedHost, World
from epost.simulation.vault import DiskConfig
from tests.support.nodes import (
    ScriptedMachine,
    content_handle,
    driver_on,
    entry_for,
    host_of,
    in_world,
    node_handle,
    settle,
)

PAST, POST = Application.PAST, Application.POST
SLOW_DISK = DiskConfig(commit_seconds_min=2.0, commit_seconds_max=2.0)

Asked = Callable[[ScriptedMachine, Caller, bytes], None]


class Pair:
    """A node that asks and a node whose PAST machine does what the test wants."""

    def __init__(self, world: World, on_asked: Asked, **options: Any) -> None:
        self.world = world
        self._on_asked = on_asked
        self.observed: list[object] = []
        world.trace.listen(lambda observed: self.observed.append(observed.event))
        self.asker = host_of(world, "asker")
        self.server = host_of(world, "server", self._equip, **options)

    def _equip(self, host: SimulatedHost, driver: Driver) -> None:
        self.machine = machine = ScriptedMachine(driver.outbox)
        machine.on_asked = lambda caller, body: self._on_asked(machine, caller, body)
        driver.register(PAST, machine)

    @property
    def driver(self) -> Driver:
        assert isinstance(self.server.node, Driver)
        return self.server.node

    async def ask(self, body: bytes, application: Application = PAST) -> bytes:
        assert isinstance(self.asker.node, Driver)
        calls = self.asker.node.calls
        return await calls.call(self.server.me, application, body, timeout_seconds=10)

    def seen(self, kind: type) -> list[Any]:
        return [event for event in self.observed if isinstance(event, kind)]


def echo(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
    machine.outbox.reply(caller, body)


def note_then_ack(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
    machine.outbox.write(PutNote("table", body, b"value"))
    machine.outbox.reply_when_durable(caller, body)


def test_a_request_is_answered_by_the_machine_of_its_application() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo)
        assert await pair.ask(b"hello") == b"hello"
        assert pair.machine.started == 1

    in_world(story)


def test_a_durable_reply_leaves_only_after_the_commit() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, note_then_ack, disk=SLOW_DISK)
        answer = asyncio.create_task(pair.ask(b"key"))
        await settle(1.9)
        assert not answer.done()
        assert pair.server.vault.note("table", b"key") == b"value", "readable before durable"
        assert await answer == b"key"
        assert pair.server.disk.durable.notes["table"] == {b"key": b"value"}

    in_world(story)


def test_a_plain_reply_does_not_wait_for_the_disk() -> None:
    def on_asked(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
        machine.outbox.write(PutNote("table", body, b"value"))
        machine.outbox.reply(caller, body)

    async def story(world: World) -> None:
        pair = Pair(world, on_asked, disk=SLOW_DISK)
        async with asyncio.timeout(1):
            assert await pair.ask(b"key") == b"key"

    in_world(story)


def test_a_durable_reply_without_a_write_waits_for_the_earlier_commits() -> None:
    def on_asked(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
        if body == b"write":
            machine.outbox.write(PutNote("table", body, b"value"))
        machine.outbox.reply_when_durable(caller, body)

    async def story(world: World) -> None:
        pair = Pair(world, on_asked, disk=SLOW_DISK)
        async with asyncio.timeout(1):
            await pair.ask(b"nothing under way")
        answers: list[bytes] = []
        for body in (b"write", b"read"):
            task = asyncio.create_task(pair.ask(body))
            task.add_done_callback(lambda done: answers.append(done.result()))
        await settle(1.9)
        assert answers == []
        await settle()
        assert answers == [b"write", b"read"]

    in_world(story)


def test_the_next_turn_reads_what_the_last_one_wrote() -> None:
    counts: list[bytes | None] = []

    async def story(world: World) -> None:
        def on_asked(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
            counts.append(pair.server.vault.note("table", b"key"))
            machine.outbox.write(PutNote("table", b"key", body))

        pair = Pair(world, on_asked)
        message = [pack(PAST, Form.REQUEST, body, 1) for body in (b"1", b"2", b"3")]
        for each in message:
            pair.driver.on_message(pair.asker.me, each)
        await settle()

    in_world(story)
    assert counts == [None, b"1", b"2"]


def test_a_crash_before_the_commit_acknowledges_nothing() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, note_then_ack, disk=SLOW_DISK)
        answer = asyncio.create_task(pair.ask(b"key"))
        await settle()
        pair.server.crash()
        with pytest.raises(CallTimedOut):
            await answer

    in_world(story)


def test_a_failed_commit_stops_the_node_and_acknowledges_nothing() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, note_then_ack)
        failed = pair.driver
        pair.server.disk.is_full = True
        with pytest.raises(CallTimedOut):
            await pair.ask(b"key")
        assert isinstance(failed.stopped.exception(), DiskFull)
        pair.server.disk.is_full = False
        await settle(10)
        assert await pair.ask(b"key") == b"key", "the node restarts from its vault"
        assert [type(event.error) for event in pair.seen(NodeFailed)] == [DiskFull]

    in_world(story)


@pytest.mark.parametrize(
    ("error", "code"),
    [(MalformedPacket("bad"), RefusalCode.MALFORMED), (NoSuchBlock("none"), RefusalCode.UNKNOWN)],
)
def test_an_error_of_the_project_is_refused_and_counted(error: Exception, code: int) -> None:
    def on_asked(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
        raise error

    async def story(world: World) -> None:
        pair = Pair(world, on_asked)
        with pytest.raises(PeerRefused) as refused:
            await pair.ask(b"body")
        assert refused.value.code == code
        assert [event.error for event in pair.seen(MessageRejected)] == [error]

    in_world(story)


def test_any_other_error_of_a_machine_is_our_bug_and_stops_the_node() -> None:
    def on_asked(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
        machine.outbox.reply(caller, b"never sent")
        raise ZeroDivisionError

    async def story(world: World) -> None:
        pair = Pair(world, on_asked)
        asking = asyncio.create_task(pair.ask(b"body"))
        with pytest.raises(ZeroDivisionError):
            await world.run_for(20)
        with pytest.raises(CallTimedOut):
            await asking

    in_world(story)


def test_messages_for_nobody_and_malformed_ones_are_counted() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo)
        with pytest.raises(PeerRefused) as refused:
            await pair.ask(b"body", Application.SCRIBE)
        assert refused.value.code == RefusalCode.UNKNOWN
        pair.asker.transport.send(pair.server.me, b"\xff\xff\xff")
        await settle()
        assert [event.application for event in pair.seen(MessageRejected)] == [
            Application.SCRIBE,
            None,
        ]

    in_world(story)


def test_requests_beyond_the_bound_are_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "EVENTS_WAITING_MAX", 3)

    async def story(world: World) -> None:
        pair = Pair(world, echo)
        await settle()
        for number in range(5):
            pair.driver.on_message(pair.asker.me, pack(PAST, Form.REQUEST, b"%d" % number, 1))
        pair.driver.on_message(pair.asker.me, pack(PAST, Form.NOTIFY, b"dropped"))
        await settle()
        assert pair.machine.requests == [b"0", b"1", b"2"]
        assert len(pair.seen(MessageRejected)) == 3
        assert not pair.driver.is_overloaded()

    in_world(story)


def test_bytes_are_held_against_the_bound_until_they_are_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver_module, "BYTES_HELD_MAX", 1000)

    async def story(world: World) -> None:
        pair = Pair(world, note_then_ack, disk=SLOW_DISK)
        asking = asyncio.create_task(pair.ask(bytes(1000)))
        await settle()
        assert pair.machine.requests == [bytes(1000)]
        with pytest.raises(PeerRefused) as refused:
            await pair.ask(b"small")
        assert refused.value.code == RefusalCode.LATER
        await asking
        await pair.ask(b"small")

    in_world(story)


def test_a_timer_goes_off_once_and_the_newest_of_a_name_wins() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo)
        await settle()
        start = pair.server.clock.now()
        pair.driver.outbox.set_timer(PAST, "tick", 1.0)
        pair.driver.outbox.set_timer(PAST, "tick", 5.0)
        pair.driver.wake()
        await settle(20)
        assert pair.machine.timers == [("tick", pytest.approx(start + 5.0))]

    in_world(story)


def test_a_timer_that_went_off_can_be_set_anew_until_its_turn() -> None:
    async def story(world: World) -> None:
        def on_asked(machine: ScriptedMachine, caller: Caller, body: bytes) -> None:
            machine.outbox.set_timer(PAST, "tick", 5.0)

        pair = Pair(world, on_asked)
        await settle()
        pair.driver.outbox.set_timer(PAST, "tick", 0.0)
        pair.driver.wake()
        # The message is queued first, the timer goes off before its turn.
        await asyncio.sleep(0)
        pair.driver.on_message(pair.asker.me, pack(PAST, Form.REQUEST, b"", 1))
        start = pair.server.clock.now()
        await settle(20)
        assert pair.machine.requests == [b""]
        assert pair.machine.timers == [("tick", pytest.approx(start + 5.0))]

    in_world(story)


def test_a_load_sees_the_writes_of_its_own_turn_and_arrives_in_a_later_one() -> None:
    body = b"a body"

    def on_asked(machine: ScriptedMachine, caller: Caller, _: bytes) -> None:
        machine.outbox.load(PAST, content_handle(body), "the purpose")
        machine.outbox.load(PAST, content_handle(b"absent"), "another")
        machine.outbox.write(PutBlock(entry_for(body), body))

    async def story(world: World) -> None:
        pair = Pair(world, on_asked)
        pair.driver.on_message(pair.asker.me, pack(PAST, Form.REQUEST, b"", 1))
        await settle()
        assert sorted(pair.machine.loaded, key=str) == [("another", None), ("the purpose", body)]

    in_world(story)


def test_loads_run_a_bounded_number_at_a_time_and_all_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loads_module, "LOADS_RUNNING_MAX", 2)

    async def story(world: World) -> None:
        pair = Pair(world, echo)
        for number in range(10):
            pair.driver.outbox.load(PAST, content_handle(b"absent"), number)
        pair.driver.wake()
        await settle()
        assert sorted(purpose for purpose, _ in pair.machine.loaded) == list(range(10))

    in_world(story)


def test_while_too_many_loads_wait_requests_are_told_to_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loads_module, "LOADS_RUNNING_MAX", 1)
    monkeypatch.setattr(driver_module, "LOADS_WAITING_MAX", 2)

    async def story(world: World) -> None:
        pair = Pair(world, echo)
        for number in range(3):
            pair.driver.outbox.load(PAST, content_handle(b"absent"), number)
        await pair.driver.durable([])
        assert pair.driver.is_overloaded()
        await settle()
        assert not pair.driver.is_overloaded()

    in_world(story)


def test_a_disk_that_cannot_be_read_stops_the_node() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo)
        driver = pair.driver
        driver.outbox.load(PAST, content_handle(b"absent"), "purpose")
        driver.wake()
        await asyncio.sleep(0)
        pair.server.vault.crash()
        await settle()
        assert isinstance(driver.stopped.exception(), OSError)

    in_world(story)


def test_stopping_during_a_failing_commit_ends_all_the_same() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo)
        driver = pair.driver
        pair.server.disk.is_full = True
        driver.outbox.write(PutNote("table", b"key", b"value"))
        await driver.stop()
        assert isinstance(driver.stopped.exception(), DiskFull)

    in_world(story)


def test_a_long_turn_lets_the_loop_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "SECONDS_IN_A_ROW_MAX", -1.0)

    async def story(world: World) -> None:
        pair = Pair(world, echo)
        await settle()
        for number in range(3):
            pair.driver.on_message(pair.asker.me, pack(PAST, Form.NOTIFY, b"%d" % number))
        await asyncio.sleep(0)
        assert pair.machine.notifies == [b"0"]
        await settle()
        assert pair.machine.notifies == [b"0", b"1", b"2"]

    in_world(story)


def test_bytes_are_held_against_the_bound_until_the_handler_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver_module, "BYTES_HELD_MAX", 1000)

    async def story(world: World) -> None:
        pair, _ = serving(world)
        first = asyncio.create_task(pair.ask(bytes(1000), POST))
        await settle(0.5)
        assert pair.driver.is_overloaded()
        await first
        assert not pair.driver.is_overloaded()

    in_world(story)


def test_every_machine_hears_of_unreachable_nodes_and_the_overlay_of_signs_of_life() -> None:
    heard: list[NodeHandle] = []

    async def story(world: World) -> None:
        pair = Pair(world, echo)
        pair.driver.tell_heard_from(lambda sender, _now: heard.append(sender))
        await pair.ask(b"hello")
        assert heard == [pair.asker.me]
        nobody = node_handle("nobody")
        pair.driver.outbox.notify(nobody, PAST, b"")
        pair.driver.wake()
        await settle()
        assert pair.machine.unreachable == [nobody.id]

    in_world(story)


class Handler:
    """An asynchronous application of a node under test."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.notified: list[bytes] = []

    async def on_request(self, sender: NodeHandle, body: bytes) -> bytes:
        if body == b"refuse":
            raise NoSuchBlock("nothing here")
        if body == b"break":
            raise ZeroDivisionError
        await asyncio.sleep(1)
        await self.driver.durable([PutNote("handled", body, b"")])
        return body.upper()

    async def on_notify(self, sender: NodeHandle, body: bytes) -> None:
        self.notified.append(body)


def serving(world: World) -> tuple[Pair, Handler]:
    pair = Pair(world, echo)
    handler = Handler(pair.driver)
    pair.driver.serve(POST, handler)
    return pair, handler


def test_an_asynchronous_handler_answers_refuses_and_takes_notifies() -> None:
    async def story(world: World) -> None:
        pair, handler = serving(world)
        assert await pair.ask(b"question", POST) == b"QUESTION"
        with pytest.raises(PeerRefused) as refused:
            await pair.ask(b"refuse", POST)
        assert refused.value.code == RefusalCode.UNKNOWN
        pair.asker.transport.send(pair.server.me, pack(POST, Form.NOTIFY, b"note"))
        await settle()
        assert handler.notified == [b"note"]

    in_world(story)


def test_handlers_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "HANDLERS_RUNNING_MAX", 1)

    async def story(world: World) -> None:
        pair, _ = serving(world)
        first = asyncio.create_task(pair.ask(b"first", POST))
        await settle(0.5)
        with pytest.raises(PeerRefused) as refused:
            await pair.ask(b"second", POST)
        assert refused.value.code == RefusalCode.LATER
        assert await first == b"FIRST"

    in_world(story)


def test_one_peer_leaves_handlers_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "HANDLERS_OF_PEER_MAX", 3)

    async def story(world: World) -> None:
        pair, _ = serving(world)
        flooder = node_handle("flooder")
        for n in range(20):
            pair.driver.on_message(flooder, pack(POST, Form.REQUEST, b"%d" % n, n + 1))
        assert await pair.ask(b"of another", POST) == b"OF ANOTHER"
        await settle(5)
        rejected = [event.sender for event in pair.seen(MessageRejected)]
        assert rejected == [flooder] * 17
        pair.driver.on_message(flooder, pack(POST, Form.NOTIFY, b"later", 0))
        await settle()
        assert len(pair.seen(MessageRejected)) == 17, "what was answered counts no longer"

    in_world(story)


def test_a_bug_in_a_handler_or_a_story_stops_the_node() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async def story(world: World) -> None:
        pair, _ = serving(world)
        with pytest.raises(CallTimedOut):
            await pair.ask(b"break", POST)
        assert [type(bug) for bug in world.bugs] == [ZeroDivisionError]
        await settle(10)
        pair.driver.run_story(broken())
        await settle()
        assert [type(bug) for bug in world.bugs] == [ZeroDivisionError] * 2

    in_world(story)


def test_a_story_that_fails_is_observed_and_others_go_on() -> None:
    async def failing() -> None:
        raise CallTimedOut("nobody there")

    async def story(world: World) -> None:
        pair = Pair(world, echo)
        pair.driver.run_story(failing())
        await settle()
        assert [event.story.rpartition(".")[2] for event in pair.seen(StoryFailed)] == ["failing"]
        assert not pair.driver.stopped.done()

    in_world(story)


def test_durable_waits_for_everything_asked_for_earlier() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo, disk=SLOW_DISK)
        await pair.driver.durable([])
        pair.driver.outbox.write(PutNote("table", b"1", b""))
        await pair.driver.durable([])
        assert pair.server.disk.durable.notes["table"] == {b"1": b""}
        waiting = asyncio.create_task(pair.driver.durable([PutNote("table", b"2", b"")]))
        await settle()
        waiting.cancel()
        await settle()
        assert b"2" in pair.server.disk.durable.notes["table"], "cancelling takes nothing back"

    in_world(story)


def test_durable_fails_with_the_disk_and_after_the_end() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo)
        driver = pair.driver
        pair.server.disk.is_full = True
        with pytest.raises(DiskFull):
            await driver.durable([PutNote("table", b"1", b"")])
        with pytest.raises(UnavailableError):
            await driver.durable([PutNote("table", b"1", b"")])

    in_world(story)


def test_stop_finishes_writes_and_the_replies_behind_them_and_cancels_stories() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append("endless")

    async def story(world: World) -> None:
        pair = Pair(world, note_then_ack, disk=SLOW_DISK)
        driver = pair.driver
        driver.run_story(endless())
        driver.outbox.set_timer(PAST, "late", 1.0)
        asking = asyncio.create_task(pair.ask(b"key"))
        await settle(0.5)
        await pair.server.stop()
        assert await asking == b"key"
        assert ended == ["endless"]
        assert driver.stopped.result() is None
        late = driver.run_story(endless())
        await settle(5)
        assert late.cancelled()
        assert pair.machine.timers == []

    in_world(story)


def test_an_application_has_one_machine_and_one_handler() -> None:
    async def story(world: World) -> None:
        driver = driver_on(host_of(world, "other"))
        driver.register(PAST, ScriptedMachine(driver.outbox))
        driver.serve(POST, Handler(driver))
        with pytest.raises(AssertionError):
            driver.register(PAST, ScriptedMachine(driver.outbox))
        with pytest.raises(AssertionError):
            driver.serve(POST, Handler(driver))

    in_world(story)


def test_many_waiting_events_leave_the_loop_free_in_between() -> None:
    async def story(world: World) -> None:
        pair = Pair(world, echo)
        await settle()
        for number in range(driver_module.TURNS_IN_A_ROW_MAX + 1):
            pair.driver.on_message(pair.asker.me, pack(PAST, Form.NOTIFY, b"%d" % number))
        await asyncio.sleep(0)
        assert len(pair.machine.notifies) == driver_module.TURNS_IN_A_ROW_MAX
        await settle()
        assert len(pair.machine.notifies) == driver_module.TURNS_IN_A_ROW_MAX + 1

    in_world(story)


@pytest.mark.parametrize("steps", range(6))
def test_a_commit_that_is_done_already_does_not_keep_a_stopping_node_busy_for_ever(
    steps: int,
) -> None:
    """Its callback runs after it is done: whoever only waits for what is done never lets it run."""

    async def story(world: World) -> None:
        disk = DiskConfig(commit_seconds_min=0.0, commit_seconds_max=0.0)
        driver = Pair(world, echo, disk=disk).driver
        driver.outbox.write(PutNote("table", b"key", b"value"))
        driver.wake()
        for _ in range(steps):
            await asyncio.sleep(0)
        await driver.stop()
        assert driver.stopped.done()

    in_world(story)
