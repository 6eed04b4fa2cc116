"""A member whose phrase somebody else may know has other keys, with two machines and mail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.account.own_name import own_account
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose
from tests.unit.daemon.joining.test_recovery import recover, whole
from tests.unit.daemon.test_certified_watch import certify_a_second_key, published
from tests.unit.daemon.test_two_laptops import add_laptop

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

BOB = "bob@example.org"


async def rekey(org: Organisation, machine: str, words: str, *options: str) -> dict[str, object]:
    """Say the command with the present words of the account; return what it prints."""
    file = org.path / "words"
    await asyncio.to_thread(file.write_text, words)
    where = ("--data-dir", str(org.path / machine), "--words-file", str(file), "--yes", "--json")
    said = ["account", "rekey", *where, *options]
    done = await asyncio.to_thread(CliRunner().invoke, app, said)
    assert done.exit_code == 0, done.output + repr(done.exception)
    first, last = map(json.loads, done.stdout.splitlines())
    assert first == {"recovery_words": last["recovery_words"]}, "said before anything is changed"
    answer: dict[str, object] = last
    return answer


async def until_rekeyed(org: Organisation, machine: str, generation: int) -> None:
    """What the daemon does within half a minute after it has heard of the change."""
    daemon = org.daemons[machine]
    while (account := own_account(daemon.node)) is None or account.generation != generation:
        await daemon.certificates.renewal._follow_key()
        await asyncio.sleep(0.1)


async def mail_to_bob(org: Organisation, *machines: str) -> str:
    message_id, octets = compose("alice@example.org", [BOB])
    await asyncio.to_thread(org.submit, "alice", "bob", octets)
    for machine in machines:
        assert await asyncio.to_thread(org.read, machine, message_id, "bob") == octets
    return message_id


def test_other_words_take_over_and_the_old_ones_bring_nothing_back(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        await org.join("store", org.invite(None))
        await org.join("store-2", org.invite(None))
        await whole(org, ["alice", "bob"], 4)
        await add_laptop(org, "second")
        for name in ("alice", "bob", "second"):
            await org.daemons[name].certificates.watch.look()
        await mail_to_bob(org, "bob", "second")
        await org.stop("second")
        await mail_to_bob(org, "bob")  # on its way to a machine that is off
        old = org.words["bob"]
        said = await rekey(org, "bob", old)
        new = str(said["recovery_words"])
        assert said["followed"]
        assert new != old
        await until_rekeyed(org, "bob", 1)
        await mail_to_bob(org, "bob")
        message_id, octets = compose(BOB, ["alice@example.org"])
        await asyncio.to_thread(org.submit, "bob", "alice", octets)
        assert await asyncio.to_thread(org.read, "alice", message_id) == octets
        await published(org)
        for name in ("alice", "bob"):
            await org.daemons[name].certificates.watch.look()
            assert org.daemons[name].certificates.watch.alarms() == []

        await org.start("second")  # it has been away, and follows by itself
        await org.daemons["second"].certificates.watch.look()
        assert org.daemons["second"].certificates.watch.alarms() == []
        await until_rekeyed(org, "second", 1)
        await mail_to_bob(org, "bob", "second")

        await org.stop("bob")
        await org.start("bob")
        known = await mail_to_bob(org, "bob")
        with pytest.raises(AssertionError, match="not the 24 words"):
            await recover(org, "bob", "thief")
        org.words["bob"] = new
        await recover(org, "bob", "third")
        org.passwords["third"] = org.passwords["bob"]
        assert await asyncio.to_thread(org.read, "third", known, "bob")

        certify_a_second_key(org, BOB)
        await published(org)
        await org.daemons["third"].certificates.watch.look()
        (alarm,) = org.daemons["third"].certificates.watch.alarms()
        assert "not yours" in alarm.text

    organisation(tmp_path, story)
