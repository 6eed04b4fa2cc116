"""What everybody keeps is stored once: the paper's single copy, counted in bytes (POST 3.2)."""

from __future__ import annotations

import hashlib
from base64 import encodebytes

import pytest

from epost.apps.mail.mailbox import Folder
from epost.foundation.ids import BlockKind
from epost.foundation.ports import HELD
from epost.node.assembly import Node
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig

MIB = 1024 * 1024
COPIES = 3


def attachment(size: int) -> bytes:
    """Bytes that do not compress, as a video or an archive."""
    return hashlib.shake_256(b"attachment").digest(size)


def mail_with(data: bytes, sender: str, subject: str, *, line: int = 57) -> bytes:
    """A mail with an attachment; `line` bytes of it are in a line, as mail programs differ."""
    lines = [encodebytes(data[at : at + line]).replace(b"\n", b"\r\n") for at in
             range(0, len(data), line)]  # fmt: skip
    return (
        f"From: {sender}\r\nTo: all@example.org\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n"
        "--b\r\nContent-Type: application/octet-stream\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + b"".join(lines) + b"--b--\r\n"  # fmt: skip


def node_of(machine: Machine) -> Node:
    assert machine.node is not None
    return machine.node


def name_of(machine: Machine) -> str:
    assert machine.account is not None
    return machine.account.name


async def inbox(machine: Machine) -> Folder:
    mail = node_of(machine).mail
    assert mail is not None
    return await mail.mailbox.open("INBOX")


async def send(sender: Machine, recipients: list[Machine], octets: bytes) -> None:
    mail = node_of(sender).mail
    assert mail is not None
    names = tuple(sorted(name_of(recipient) for recipient in recipients))
    submitted = await mail.submission.submit(name_of(sender), name_of(sender), names, octets)
    assert submitted.machines == COPIES


def bytes_for_the_ring(office: Office) -> int:
    """Octets of message blocks that machines keep for the ring, beside what their users mirror."""
    return sum(
        stored.entry.size
        for machine in office.machines
        for handle, stored in machine.host.disk.durable.blocks.items()
        if handle.kind is BlockKind.CONTENT and stored.entry.roles & HELD
    )


@pytest.mark.parametrize(
    ("users", "size", "forwarders", "attachers", "movers"),
    [
        pytest.param(10, 5 * MIB, 2, 2, 3, id="10 users"),
        pytest.param(100, 10 * MIB, 20, 10, 30, id="100 users", marks=pytest.mark.long),
    ],
)
def test_an_attachment_is_stored_once_however_many_have_forward_reattach_and_move_it(
    users: int, size: int, forwarders: int, attachers: int, movers: int
) -> None:
    async def story() -> None:
        office = Office(7, OfficeConfig(machines=users + 2, users=users + 1), SOUND)
        await office.open()
        await office.world.run_for(60)
        before = bytes_for_the_ring(office)
        data = attachment(size)
        author, *readers = office.users[:users]
        stranger = office.users[users]
        await send(author, [author, *readers], mail_with(data, name_of(author), "first"))
        await office.world.run_for(30)
        for reader in readers[:forwarders]:
            folder = await inbox(reader)
            (uid,) = folder.uids()
            received = await folder.octets(uid)
            forwarded = received.replace(name_of(author).encode(), name_of(reader).encode(), 1)
            await send(reader, [readers[-1]], forwarded)
        for attacher in [*readers[-attachers:-1], stranger]:
            again = mail_with(data, name_of(attacher), "from my disk", line=54)
            await send(attacher, [author], again)
        for mover in readers[:movers]:
            mail = node_of(mover).mail
            assert mail is not None
            await mail.mailbox.create("Kept")
            folder = await inbox(mover)
            await folder.move(folder.uids(), "Kept")
        await office.world.run_for(600)  # a stand-in hands over, and keeps nothing
        grown = bytes_for_the_ring(office) - before
        print(f"{users} users: {grown / (COPIES * size):.4f} of {COPIES} x {size} bytes")
        assert grown <= 1.05 * COPIES * size
        assert grown >= COPIES * size, "it is there"
        await office.close()

    run(story())
