"""Two laptops of one user and her phone, as daemons and a mail program; one laptop is stolen."""

from __future__ import annotations

import asyncio
import imaplib
import shutil
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from epost.daemon.account.devices import Owner
from epost.daemon.folder import NodeFolder
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.pairing.guest import join_account
from epost.daemon.pairing.host import PairingLimits
from tests.support.daemons import Organisation
from tests.support.demo import compose
from tests.unit.daemon.joining.test_recovery import recover, whole

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

LIMITS = PairingLimits(open_seconds=120, step_seconds=30, compare_seconds=30, settle_seconds=60)
AGREE_SECONDS_MAX = 60.0
"""How long a slow machine may take; the figure that counts is printed."""
Shown = dict[str, list[tuple[bytes, frozenset[str]]]]


@contextmanager
def mail_program(org: Organisation, machine: str) -> Any:
    """A connection to a machine of bob's."""
    mail = NodeFolder(org.path / machine).read_config().mail
    host, _, port = mail.imap.partition(":")
    with imaplib.IMAP4(host, int(port), timeout=60) as client:
        client.login("bob", org.passwords[machine])
        yield client


def shown(org: Organisation, machine: str) -> Shown:
    """Return what a machine shows: per folder the mails with their flags."""
    found: Shown = {}
    with mail_program(org, machine) as client:
        for folder in ("INBOX", "Archive", "Drafts", "Sent"):
            client.select(folder, readonly=True)
            numbers = client.search(None, "ALL")[1][0].split()
            mails = []
            for number in numbers:
                answer = client.fetch(number.decode(), "(FLAGS BODY.PEEK[])")[1]
                for part in answer:
                    if isinstance(part, tuple):  # else its parts have not come here yet
                        flags = imaplib.ParseFlags(part[0])
                        names = frozenset(flag.decode() for flag in flags) - {"\\Recent"}
                        mails.append((part[1], names))
            found[folder] = sorted(mails, key=lambda mail: mail[0])
    return found


def number_of(client: imaplib.IMAP4, message_id: str) -> str:
    return client.search(None, "HEADER", "Message-ID", message_id)[1][0].split()[0].decode()


def on_the_phone(org: Organisation, machine: str, inbox: list[str], draft: bytes) -> None:
    """Flag one mail, move another, write a draft and keep a sent mail."""
    flagged, moved = inbox
    with mail_program(org, machine) as client:
        client.select("INBOX")
        client.store(number_of(client, flagged), "+FLAGS", r"(\Seen \Flagged)")
        client._simple_command("MOVE", number_of(client, moved), "Archive")
        client.append("Drafts", r"(\Draft)", None, draft)
        client.append("Sent", r"(\Seen)", None, draft.replace(b"draft", b"sent."))


async def agree(org: Organisation, machines: list[str], what: Callable[[Shown], bool]) -> float:
    """Return after how long machines show the same, of which `what` is true."""
    began = time.monotonic()
    while True:
        views = [await asyncio.to_thread(shown, org, machine) for machine in machines]
        if all(view == views[0] for view in views) and what(views[0]):
            return time.monotonic() - began
        assert time.monotonic() - began < AGREE_SECONDS_MAX, views
        await asyncio.sleep(0.05)


async def add_laptop(org: Organisation, name: str) -> None:
    """Add a machine to bob's account by a code shown at his first one."""
    codes: asyncio.Queue[object] = asyncio.Queue()

    async def compare(_digits: str) -> bool:
        return True

    adding = asyncio.create_task(
        Owner(org.path / "bob", org.words["bob"]).add_device(
            listen="",
            authority=(),
            compare=compare,
            show=codes.put_nowait,
            say=lambda _: None,
            limits=LIMITS,
        )
    )
    adding.add_done_callback(lambda _: codes.put_nowait(None))  # also if it fails
    code = await codes.get()
    if code is None:
        await adding
    here = f"127.0.0.1:{next(org.ports)}"
    machine = NewMachine(org.path / name, here)
    joined = await join_account(str(code), machine, compare=compare, limits=LIMITS)
    await adding
    org.passwords[name] = joined.password
    org.set_mail_ports(name)
    await org.start(name)


async def write_to_bob(org: Organisation, count: int) -> list[str]:
    ids = []
    for size in [900, 60_000] * (count // 2):
        message_id, octets = compose("alice@example.org", ["bob@example.org"], size=size)
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        ids.append(message_id)
    return ids


def test_two_laptops_and_a_phone_agree_and_a_stolen_laptop_reads_nothing_new(
    tmp_path: Path,
) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        await org.join("store", org.invite(None))
        await whole(org, ["alice", "bob"], 3)
        await add_laptop(org, "second")
        letters = await write_to_bob(org, 6)
        await agree(org, ["bob", "second"], lambda view: len(view["INBOX"]) == 6)
        for machine in ("bob", "second"):  # a new one is told of changes once it is known
            await org.until(machine, lambda status: status["devices"]["others"] == 1)
        draft = compose("bob@example.org", ["alice@example.org"], subject="draft")[1]

        await asyncio.to_thread(on_the_phone, org, "bob", letters[:2], draft)
        took = await agree(org, ["bob", "second"], lambda view: len(view["Sent"]) == 1)
        print(f"online: agreed after {took:.2f} s, both looked at over IMAP")

        await org.stop("second")
        await asyncio.to_thread(on_the_phone, org, "bob", letters[2:4], draft)
        await org.stop("bob")
        await org.start("second")
        await asyncio.to_thread(on_the_phone, org, "second", letters[4:6], draft)
        await org.start("bob")
        took = await agree(org, ["bob", "second"], lambda view: len(view["Sent"]) == 3)
        print(f"each was off while the other changed things: agreed after {took:.2f} s")

        before = await asyncio.to_thread(shown, org, "bob")
        await org.stop("second")
        shutil.copytree(org.path / "second", org.path / "stolen")
        org.passwords["stolen"] = org.passwords["second"]
        await org.stop("bob")
        await recover(org, "bob", "third")
        org.passwords["third"] = org.passwords["bob"]
        await agree(org, ["third"], lambda view: view == before)
        (secret, _) = await write_to_bob(org, 2)
        await asyncio.to_thread(org.read, "third", secret, "bob")
        await org.start("stolen")
        await org.until("stolen", lambda status: status["devices"]["revoked"])
        view = await asyncio.to_thread(shown, org, "stolen")
        assert not any(secret.encode() in octets for mails in view.values() for octets, _ in mails)

    async def run() -> None:
        async with asyncio.timeout(800), AsyncExitStack() as stack:
            org = Organisation(tmp_path, stack)
            await org.found()
            await story(org)

    asyncio.run(run())
