"""The machine with the authority is off, certificates are due: a deputy renews them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.crypto.certificates import NODE_CERT
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.daemon.authority.certified_log import CertifiedLog
from epost.daemon.authority.deputy import deputy_keys
from epost.daemon.authority.register import REGISTER_FILE, Register
from epost.daemon.folder import NodeFolder
from epost.daemon.process import Daemon
from epost.daemon.world import SystemClock, SystemEntropy
from epost.foundation.durations import DAY_MS
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(180)]

DAYS_LATER = 33
"""A third of 90 days and more: certificates are due, and the ring still knows who is who."""


class Later(SystemClock):
    """The clock of a machine weeks later."""

    def wall_ms(self) -> int:
        return super().wall_ms() + DAYS_LATER * DAY_MS


async def epost(*arguments: str) -> str:
    """What the command line prints."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


async def start_later(org: Organisation, name: str) -> None:
    folder = NodeFolder(org.path / name)
    stack = org._stacks[name] = await org.stack.enter_async_context(AsyncExitStack())
    daemon = Daemon(folder, folder.read_config(), stack, clock=Later())
    await daemon.start()
    org.daemons[name] = daemon


def issuer_of(org: Organisation, name: str) -> int:
    data = NodeFolder(org.path / name).read_membership().node
    return NODE_CERT.decode(parse(data, Kind.NODE).body).issuer


def test_a_deputy_renews_while_the_authority_is_off_and_is_watched(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        await org.join("carol", org.invite("carol"))
        bobs, authority = str(org.path / "bob"), ("--authority-dir", str(org.authority_dir))
        line = json.loads(await epost("org", "deputy", "--data-dir", bobs, "--json"))["line"]
        assert "number 2" in await epost("org", "appoint", line, *authority)
        assert "deputy" in await epost("org", "issuers", *authority)
        carol = org.daemons["carol"].node
        while len(carol.issuers.active_issuers()) != 2:
            await asyncio.sleep(0.1)
        await org.until("carol", lambda s: s["ring"]["members"] == 3)
        for name in ("alice", "carol", "bob"):
            await org.stop(name)

        for name in ("bob", "carol"):
            await start_later(org, name)
        while (issuer_of(org, "bob"), issuer_of(org, "carol")) != (2, 2):
            await asyncio.sleep(0.2)
        message_id, octets = compose("carol@example.org", ["bob@example.org"])
        await asyncio.to_thread(org.submit, "carol", "bob", octets)
        assert await asyncio.to_thread(org.read, "bob", message_id) == octets

        watch = org.daemons["carol"].certificates.watch
        while not (reached := watch.notes.seen(_log_of_deputy(org)).sequence):
            await watch.look()
        assert reached >= 2, "bob's machine and carol's"
        assert watch.alarms() == []
        certify_a_second_key(org.path / "bob" / "deputy", b"carol@example.org")
        while not watch.alarms():
            await watch.look()
            await asyncio.sleep(0.5)
        assert "not yours" in watch.alarms()[0].text
        assert "dismissed" in await epost("org", "dismiss", "2", "--yes", *authority)

    organisation(tmp_path, story)


def certify_a_second_key(deputy: Path, name: bytes) -> None:
    """What whoever runs the deputy might do: it must be in its log, or nobody believes it."""
    keys, register = deputy_keys(deputy, SystemEntropy()), Register(deputy / REGISTER_FILE)
    with register.transaction():
        CertifiedLog(register, keys.certified_log, SystemEntropy()).enter(name, b"k" * 32)
    register.close()


def _log_of_deputy(org: Organisation) -> bytes:
    (deputy,) = org.daemons["carol"].node.issuers.trust.issuers[1:]
    return deputy.certified_log_key
