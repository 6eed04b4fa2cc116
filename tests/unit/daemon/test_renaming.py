"""A member of a running organisation is given another name: nobody has to do anything."""

from __future__ import annotations

import asyncio
import imaplib
import json
import smtplib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.account.own_name import own_account
from epost.daemon.folder import NodeFolder
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose
from tests.unit.daemon.account.test_rekeying import rekey, until_rekeyed
from tests.unit.daemon.test_certified_watch import certify_a_second_key, published

pytestmark = pytest.mark.timeout(180)

BOB, ROBERT = "bob@example.org", "robert@example.org"


async def rename(org: Organisation, name: str, new: str) -> dict[str, object]:
    where = ("--authority-dir", str(org.authority_dir), "--yes", "--json")
    done = await asyncio.to_thread(CliRunner().invoke, app, ["org", "rename", name, new, *where])
    assert done.exit_code == 0, done.output
    said: dict[str, object] = json.loads(done.stdout)
    return said


async def until_named(org: Organisation, machine: str, name: str) -> None:
    """What the daemon does within a minute after it has heard of the change."""
    daemon = org.daemons[machine]
    while not daemon.node.issuers.policy.class_changes:
        await asyncio.sleep(0.1)
    await daemon.certificates.renewal._try_to_renew()
    while (account := own_account(daemon.node)) is None or account.name != name:
        await daemon.certificates.renewal._follow_name()
        await asyncio.sleep(0.1)


def submit_as(org: Organisation, login: str, author: str, to: str, octets: bytes) -> None:
    mail = NodeFolder(org.path / "bob").read_config().mail
    host, _, port = mail.smtp.partition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as client:
        client.login(login, org.passwords["bob"])
        client.sendmail(author, [to], octets)


def subjects(org: Organisation, machine: str, login: str) -> list[bytes]:
    mail = NodeFolder(org.path / machine).read_config().mail
    host, _, port = mail.imap.partition(":")
    with imaplib.IMAP4(host, int(port), timeout=30) as client:
        client.login(login, org.passwords[machine])
        client.select()
        lines = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return [line[1].strip() for line in lines if isinstance(line, tuple)]


def test_a_member_is_renamed_while_the_daemons_run(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        for name in ("alice", "bob"):
            await org.daemons[name].certificates.watch.look()
        said = await rename(org, BOB, ROBERT)
        assert (said["name"], said["former"]) == (ROBERT, BOB)
        await until_named(org, "bob", ROBERT)
        status = await org.ask("bob", "status")
        assert (status["name"], status["former_names"]) == (ROBERT, [BOB])
        assert NodeFolder(org.path / "bob").read_membership().account == (
            org.daemons["bob"].certificates.renewal._standing.account_certificate
        )

        message_id, octets = compose(BOB, ["alice@example.org"])
        await asyncio.to_thread(submit_as, org, BOB, BOB, "alice@example.org", octets)
        assert await asyncio.to_thread(org.read, "alice", message_id) == octets
        message_id, octets = compose(ROBERT, ["alice@example.org"])
        await asyncio.to_thread(submit_as, org, "robert", ROBERT, "alice@example.org", octets)
        assert await asyncio.to_thread(org.read, "alice", message_id) == octets
        message_id, octets = compose("alice@example.org", [BOB])
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        assert await asyncio.to_thread(org.read, "bob", message_id, ROBERT) == octets

        moved = b"Subject: bob@example.org is robert@example.org now"
        for machine, login in (("alice", "alice"), ("bob", "bob@example.org"), ("bob", ROBERT)):
            while (await asyncio.to_thread(subjects, org, machine, login)).count(moved) != 1:
                await asyncio.sleep(0.1)

        await published(org)
        for name in ("alice", "bob"):
            await org.daemons[name].certificates.watch.look()
            assert org.daemons[name].certificates.watch.alarms() == []
        following = asyncio.create_task(until_rekeyed(org, "bob", 1))
        assert (await rekey(org, "bob", org.words["bob"]))["followed"]
        await following
        message_id, octets = compose("alice@example.org", [ROBERT])
        await asyncio.to_thread(org.submit, "alice", "bob", octets)
        assert await asyncio.to_thread(org.read, "bob", message_id, ROBERT) == octets
        told = b"Subject: Your account has other keys and other words"
        while told not in await asyncio.to_thread(subjects, org, "bob", ROBERT):
            await asyncio.sleep(0.1)
        await published(org)
        await org.daemons["bob"].certificates.watch.look()
        assert org.daemons["bob"].certificates.watch.alarms() == []
        certify_a_second_key(org, BOB)
        await published(org)
        await org.daemons["bob"].certificates.watch.look()
        (alarm,) = org.daemons["bob"].certificates.watch.alarms()
        assert "not yours" in alarm.text

        await org.stop("bob")
        await org.start("bob")
        assert (await org.ask("bob", "status"))["name"] == ROBERT

    organisation(tmp_path, story)
