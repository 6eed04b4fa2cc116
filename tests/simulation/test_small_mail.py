"""A small mail travels whole in its notice: what keeps the notice keeps the mail."""

from __future__ import annotations

from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import DeleteBlock
from epost.node.assembly import Node
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig

HEADER = b"From: user1@example.org\r\nTo: user2@example.org\r\nSubject: small\r\n\r\n"
SMALL = (HEADER + b"sixteen octets\r\n" * 1024)[: 16 * 1024 - 2] + b"\r\n"
"""As large as a small mail can be: 16 KiB."""


def node_of(machine: Machine) -> Node:
    assert machine.node is not None
    return machine.node


def kept(office: Office) -> set[Handle]:
    return {handle for machine in office.machines for handle in machine.host.disk.durable.blocks}


def erase(machine: Machine, handles: set[Handle]) -> None:
    contents = machine.host.disk.durable
    contents.apply([DeleteBlock(handle) for handle in handles if handle in contents.blocks])


async def inbox(machine: Machine) -> list[bytes]:
    mail = node_of(machine).mail
    assert mail is not None
    folder = await mail.mailbox.open("INBOX")
    return [await folder.octets(uid) for uid in folder.uids()]


def test_a_small_mail_arrives_although_only_delegates_hold_anything_of_it() -> None:
    async def story() -> None:
        office = Office(11, OfficeConfig(machines=12, users=3), SOUND)
        await office.open()
        await office.world.run_for(60)
        _, sender, reader = office.users
        await reader.host.stop()
        await office.world.run_for(60)
        before = kept(office)
        mail = node_of(sender).mail
        assert mail is not None
        assert sender.account is not None
        assert reader.account is not None
        name = sender.account.name
        submitted = await mail.submission.submit(name, name, (reader.account.name,), SMALL)
        assert submitted.machines == 3
        sender.lose_disk()
        of_the_mail = kept(office) - before
        notices = {handle for handle in of_the_mail if handle.kind is BlockKind.PENDING}
        assert len(notices) == 1
        others = [machine for machine in office.machines if machine not in (sender, reader)]
        for machine in others:
            machine.crash(with_machine=False)
            erase(machine, of_the_mail - notices)
        assert kept(office) & of_the_mail == notices
        for machine in (*others, reader):
            machine.host.start()
        await node_of(reader).ready()
        await office.world.run_for(180)
        assert await inbox(reader) == [SMALL]
        await office.close()

    run(story())
