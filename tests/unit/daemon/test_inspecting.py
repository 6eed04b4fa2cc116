"""`epost verify` and `epost repair` on real daemons, against damage made on purpose."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import DeleteBlock
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose
from tests.support.vaults import rot_sqlite

pytestmark = pytest.mark.timeout(180)


async def command(org: Organisation, name: str, *options: str) -> tuple[int, str]:
    arguments = [name, "--data-dir", str(org.path / "alice"), *options]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return result.exit_code, result.stdout


async def report(org: Organisation, name: str, *options: str) -> tuple[int, dict[str, Any]]:
    code, printed = await command(org, name, "--json", *options)
    return code, json.loads(printed)


def erase(org: Organisation, name: str, *handles: Handle) -> None:
    node = org.daemons[name].node
    for handle in handles:
        node.driver.outbox.write(DeleteBlock(handle))
    node.driver.wake()


def test_damage_is_found_and_mended(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        for name in ("one", "two"):
            await org.join(name, org.invite(None))
        await org.until("alice", lambda s: s["ring"]["members"] == 3)
        await org.until("alice", lambda s: s["log"] == "ring-durable")
        message_id, octets = compose("alice@example.org", ["alice@example.org"], size=90_000)
        await asyncio.to_thread(org.submit, "alice", "alice", octets)
        await asyncio.to_thread(org.read, "alice", message_id)
        while (await command(org, "verify"))[0]:
            await asyncio.sleep(0.2)  # the last records of the log are on their way
        code, whole = await report(org, "verify", "--every-copy")
        assert (code, whole["lacking"]) == (0, 0)
        assert whole["checked"] == whole["total"] >= 8

        parts = await org.ask("alice", "parts", message_id=message_id)
        handles = [Handle(BlockKind.CONTENT, bytes.fromhex(p["handle"])) for p in parts["parts"]]
        assert handles
        for name in ("one", "two"):
            erase(org, name, *handles)
        code, found = await report(org, "verify")
        assert code == 1
        assert {row["handle"] for row in found["findings"]} == {h.digest.hex() for h in handles}
        assert {(row["problem"], row["copies"]) for row in found["findings"]} == {
            ("too few copies", 1)
        }
        code, mended = await report(org, "repair")
        assert (code, mended["lacking"], mended["repaired"]) == (0, 0, len(handles))

        rot_sqlite(org.path / "one" / "vault", handles[-1])
        assert (await command(org, "verify"))[0] == 0, "everybody says that he has it"
        code, printed = await command(org, "repair", "--every-copy")
        assert code == 0
        assert "0 with something wrong, 1 repaired" in printed

        for name in ("one", "two", "alice"):
            erase(org, name, handles[0])
        code, lost = await report(org, "repair")
        assert code == 1
        assert [row["problem"] for row in lost["findings"]] == ["no copy that proves itself"]

    organisation(tmp_path, story)
