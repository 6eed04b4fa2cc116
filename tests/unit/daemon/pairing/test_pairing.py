"""Two machines of one account find each other by a code; nobody else gets in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.crypto.signing import SigningKey
from epost.daemon.account.devices import Owner
from epost.daemon.authority.world import system_world
from epost.daemon.enrolment.channel import EnrolmentLimits, open_channel
from epost.daemon.enrolment.client import connect
from epost.daemon.enrolment.listener import listener_context
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.settling import Joined
from epost.daemon.pairing.code import DeviceCode
from epost.daemon.pairing.guest import join_account
from epost.daemon.pairing.host import PairingLimits
from epost.daemon.pairing.messages import SIZES, Offer, Opening, Step, commitment_to
from epost.daemon.tls.listening import listen
from epost.foundation.codec import encode
from epost.foundation.errors import AuthenticityError, ConfigError, RefusedError, UnavailableError
from epost.foundation.ids import Address
from epost.foundation.ports import Entropy, Sealing
from epost.post.accounts.new_devices import draw_seeds, public_half
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = pytest.mark.timeout(180)

LIMITS = PairingLimits(open_seconds=60, step_seconds=5, compare_seconds=10, settle_seconds=30)


class Users:
    """What the user sees and answers at both machines."""

    def __init__(self, answer: bool | None = None) -> None:
        self.answer = answer
        self.codes: asyncio.Queue[DeviceCode] = asyncio.Queue()
        self.digits: list[str] = []
        self.said: list[str] = []
        self._both = asyncio.Event()

    def next(self) -> None:
        """Look away: the next digits are compared anew."""
        self.digits, self._both = [], asyncio.Event()

    async def compare(self, digits: str) -> bool:
        """Answers what is true of the two displays, unless told what to answer."""
        self.digits.append(digits)
        if len(self.digits) == 2:
            self._both.set()
        await self._both.wait()
        return self.answer if self.answer is not None else len(set(self.digits)) == 1


@asynccontextmanager
async def adding(
    org: Organisation, users: Users, limits: PairingLimits = LIMITS
) -> AsyncIterator[tuple[DeviceCode, asyncio.Task[dict[str, Any]]]]:
    owner = Owner(org.path / "alice", org.words["alice"])
    task = asyncio.create_task(
        owner.add_device(
            listen="",
            authority=(),
            compare=users.compare,
            show=users.codes.put_nowait,
            say=users.said.append,
            limits=limits,
        )
    )
    getting = asyncio.create_task(users.codes.get())
    await asyncio.gather(getting)
    try:
        yield getting.result(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RefusedError):
            await task


async def join(org: Organisation, code: object, users: Users, folder: str = "second") -> Joined:
    machine = NewMachine(org.path / folder, f"127.0.0.1:{next(org.ports)}")
    return await join_account(str(code), machine, compare=users.compare, limits=LIMITS)


async def start(org: Organisation, joined: Joined, folder: str = "second") -> None:
    org.passwords[folder] = joined.password
    org.set_mail_ports(folder)
    await org.start(folder)


@asynccontextmanager
async def middle_man(real: Address, users: Users) -> AsyncIterator[Address]:
    """Somebody who lets a machine connect to him, and offers his own keys to the real listener."""
    world = system_world()
    seed = world.entropy.token(32)
    listener = listen(Address("127.0.0.1", 0), purpose="middle")
    loop = asyncio.get_running_loop()

    async def relay() -> None:
        connection, _ = await loop.sock_accept(listener)
        victims = partial(
            loop.connect_accepted_socket, sock=connection, ssl=listener_context(seed, world.clock)
        )
        hosts = partial(connect, real, EnrolmentLimits())
        async with open_channel(victims, SIZES) as victim, open_channel(hosts, SIZES) as host:
            await victim.receive(Step.OPENING)
            evil = own_offer(world.entropy, world.sealing)
            await host.send(Step.OPENING, encode(Opening(1, b"", commitment_to(evil))))
            _, number = await host.receive(Step.NUMBER)
            await victim.send(Step.NUMBER, number)
            await victim.receive(Step.OFFER)
            await host.send(Step.OFFER, evil)
            await host.receive(Step.GRANT, Step.REFUSAL)

    task = asyncio.create_task(relay())
    try:
        yield Address("127.0.0.1", int(listener.getsockname()[1]))
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, EOFError):
            await task
        listener.close()


def own_offer(entropy: Entropy, sealing: Sealing) -> bytes:
    public = public_half(draw_seeds(entropy), sealing)
    node_key = SigningKey(entropy.token(32)).public
    keys = public.device_key, public.sealing_key, public.root_log_key
    return encode(Offer(1, entropy.token(16), node_key, *keys))


def story(path: Path, told: Callable[[Organisation], Awaitable[None]]) -> None:
    organisation(path, told)


def read_as_alice(org: Organisation, folder: str, message_id: str) -> bytes:
    return org.read(folder, message_id, user="alice")


async def command(*arguments: str) -> dict[str, Any]:
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_a_second_machine_reads_all_mail_sends_and_is_revoked(tmp_path: Path) -> None:
    async def told(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        sent = [compose("bob@example.org", ["alice@example.org"], size=s) for s in (900, 90_000)]
        for message_id, octets in sent:
            await asyncio.to_thread(org.submit, "bob", "alice", octets)
            await asyncio.to_thread(org.read, "alice", message_id)
        users = Users()
        async with adding(org, users) as (code, task):
            joined = await join(org, code, users)
            said = await task
        assert [row["number"] for row in said["devices"]] == [1, 2]
        assert users.digits == []
        with pytest.raises((UnavailableError, RefusedError)):
            await join(org, code, users, "third")  # used up
        await start(org, joined)
        sent.append(compose("bob@example.org", ["alice@example.org"], size=700))
        await asyncio.to_thread(org.submit, "bob", "alice", sent[-1][1])
        for message_id, octets in sent:
            assert await asyncio.to_thread(read_as_alice, org, "second", message_id) == octets
        here = ("--data-dir", str(org.path / "alice"))
        (org.path / "paper").write_text(org.words["alice"])
        words = ("--words-file", str(org.path / "paper"))
        assert len((await command("device", "list", *here))["devices"]) == 2
        printed = await asyncio.to_thread(CliRunner().invoke, app, ["device", "list", *here])
        assert "Machines of alice@example.org" in printed.stdout
        left = await command("device", "revoke", "2", *here, *words, "--yes")
        assert [row["number"] for row in left["devices"]] == [1]
        assert [row["number"] for row in left["revoked"]] == [2]

    story(tmp_path, told)


def test_digits_are_compared_where_only_the_address_is_typed(tmp_path: Path) -> None:
    async def told(org: Organisation) -> None:
        users = Users()
        async with adding(org, users) as (code, task):
            address = f"{code.address.host}:{code.address.port}"
            await join(org, address, users)
            await task
        assert len(users.digits) == 2
        assert len(set(users.digits)) == 1

    story(tmp_path, told)


def test_somebody_in_the_middle_is_seen_by_the_digits_and_has_three_tries(tmp_path: Path) -> None:
    async def told(org: Organisation) -> None:
        users = Users()
        seen: list[list[str]] = []
        async with adding(org, users) as (code, task):
            for number in range(LIMITS.tries_max):
                users.next()
                async with middle_man(code.address, users) as there:
                    with pytest.raises((RefusedError, UnavailableError)):
                        await join(org, f"{there.host}:{there.port}", users, f"victim-{number}")
                seen.append(users.digits)
            with pytest.raises(RefusedError, match="3 tries failed"):
                await task
        assert [len(set(digits)) for digits in seen] == [2, 2, 2]
        said = await command("device", "list", "--data-dir", str(org.path / "alice"))
        assert [row["number"] for row in said["devices"]] == [1]

    story(tmp_path, told)


def test_a_code_leads_to_one_listener_and_the_token_goes_nowhere_else(tmp_path: Path) -> None:
    async def told(org: Organisation) -> None:
        users = Users()
        async with adding(org, users) as (code, task):
            async with middle_man(code.address, users) as there:
                with pytest.raises(AuthenticityError, match="something else"):
                    await join(org, replace(code, address=there), users)
            with pytest.raises(RefusedError, match="another code"):
                await join(org, replace(code, token=bytes(16)), users)
            await join(org, code, users)  # the right one still gets in
            await task

    story(tmp_path, told)


def test_a_code_is_good_for_some_minutes_and_needs_the_words(tmp_path: Path) -> None:
    async def told(org: Organisation) -> None:
        users = Users()
        async with adding(org, users, replace(LIMITS, open_seconds=0.3)) as (code, task):
            with pytest.raises(RefusedError, match="no machine came in time"):
                await task
            with pytest.raises(RefusedError, match="expired"):
                await join(org, code, users)
        with pytest.raises(RefusedError, match="not the 24 words"):
            Owner(org.path / "alice", " ".join(["abandon"] * 23 + ["art"]))
        with pytest.raises(ConfigError, match="already"):
            await join(org, "127.0.0.1:9", users, "alice")

    story(tmp_path, told)


def test_a_run_that_was_cut_off_goes_on_with_the_same_code(tmp_path: Path) -> None:
    async def told(org: Organisation) -> None:
        users = Users()
        async with adding(org, users) as (code, task):
            there = org.path / "second" / "config.toml"
            there.mkdir(parents=True)  # so that the machine "dies" when it writes its folder
            with pytest.raises(OSError, match=r"config\.toml"):
                await join(org, code, users)
            await task
        there.rmdir()
        joined = await join(org, code, users)
        await start(org, joined)
        said = await command("device", "list", "--data-dir", str(org.path / "alice"))
        assert [row["number"] for row in said["devices"]] == [1, 2]

    story(tmp_path, told)
