"""What everybody keeps is stored once: the paper's single copy, counted in bytes (POST 3.2)."""

from __future__ import annotations

import hashlib
from base64 import encodebytes
from dataclasses import dataclass, replace

import pytest

from epost.apps.mail.mailbox import DELETED, FlagChange, Folder, Mailbox, NewMail
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import HELD
from epost.node.assembly import Node
from epost.node.settings import NodeConfigs
from epost.past.config import PastConfig
from epost.post.config import PostConfig
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from tests.simulation.test_renewal import Years

FREEING = NodeConfigs(
    # Days pass in steps of thirty: so all may go on one of them.
    past=replace(
        PastConfig(),
        frees_expired=True,
        steady_clock_seconds=20.0,
        lease_sweep_seconds=20.0,
        freed_part_per_day=1.0,
    ),
    post=PostConfig(lease_check_seconds=30.0),
)
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


def mailbox_of(machine: Machine) -> Mailbox:
    mail = node_of(machine).mail
    assert mail is not None
    return mail.mailbox


async def inbox(machine: Machine) -> Folder:
    return await mailbox_of(machine).open("INBOX")


async def send(sender: Machine, recipients: list[Machine], octets: bytes) -> None:
    mail = node_of(sender).mail
    assert mail is not None
    names = tuple(sorted(name_of(recipient) for recipient in recipients))
    submitted = await mail.submission.submit(name_of(sender), name_of(sender), names, octets)
    assert submitted.machines == COPIES


def blocks_of_messages(office: Office, *, for_the_ring: bool) -> dict[Handle, int]:
    """Octets of message blocks on all disks; `for_the_ring`: without what users mirror."""
    found: dict[Handle, int] = {}
    for machine in office.machines:
        for handle, stored in machine.host.disk.durable.blocks.items():
            is_held = bool(stored.entry.roles & HELD)
            if handle.kind is BlockKind.CONTENT and (is_held or not for_the_ring):
                found[handle] = found.get(handle, 0) + stored.entry.size
    return found


def bytes_for_the_ring(office: Office) -> int:
    return sum(blocks_of_messages(office, for_the_ring=True).values())


async def distribute(office: Office, users: int, data: bytes, cast: Cast) -> None:
    """Send an attachment to all; some forward it, attach it again, move and copy it."""
    author, *readers = office.users[:users]
    await send(author, [author, *readers], mail_with(data, name_of(author), "first"))
    await office.world.run_for(30)
    for reader in readers[: cast.forwarders]:
        folder = await inbox(reader)
        (uid,) = folder.uids()
        received = await folder.octets(uid)
        forwarded = received.replace(name_of(author).encode(), name_of(reader).encode(), 1)
        await send(reader, [readers[-1]], forwarded)
        sent = await mailbox_of(reader).open("Sent")
        await sent.append([NewMail(forwarded, frozenset(), None)])
    for attacher in [*readers[1 - cast.attachers :], office.users[users]]:
        again = mail_with(data, name_of(attacher), "from my disk", line=54)
        await send(attacher, [author], again)
    for mover in readers[: cast.movers]:
        await mailbox_of(mover).create("Kept")
        folder = await inbox(mover)
        await folder.copy(folder.uids(), "Archive")
        await folder.move(folder.uids(), "Kept")


async def delete_everything(machine: Machine) -> None:
    """Expunge all mails in all folders, as a user does who wants her space back."""
    for info in await mailbox_of(machine).folders():
        folder = await mailbox_of(machine).open(info.name)
        await folder.change_flags(folder.uids(), FlagChange.ADD, frozenset({DELETED}))
        await folder.expunge(None)


@dataclass(frozen=True)
class Cast:
    """How many of the users do what."""

    forwarders: int
    attachers: int
    movers: int


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
@pytest.mark.parametrize(
    ("users", "size", "cast"),
    [
        pytest.param(4, 5 * MIB, Cast(1, 1, 2), id="4 users"),
        pytest.param(100, 10 * MIB, Cast(20, 10, 30), id="100 users", marks=pytest.mark.long),
    ],
)
def test_an_attachment_is_stored_once_and_freed_when_the_last_of_all_has_deleted_it(
    users: int, size: int, cast: Cast
) -> None:
    async def story() -> None:
        config = OfficeConfig(machines=users + 2, users=users + 1, nodes=FREEING)
        office = Office(7, config, SOUND)
        await office.open()
        await office.world.run_for(60)
        before = bytes_for_the_ring(office)
        known = blocks_of_messages(office, for_the_ring=False)
        await distribute(office, users, attachment(size), cast)
        await office.world.run_for(600)  # a stand-in hands over, and keeps nothing
        grown = bytes_for_the_ring(office) - before
        print(f"{users} users: {grown / (COPIES * size):.4f} of {COPIES} x {size} bytes")
        assert grown <= 1.05 * COPIES * size
        assert grown >= COPIES * size, "it is there"
        distributed = blocks_of_messages(office, for_the_ring=False).keys() - known.keys()
        years = Years(office)
        last, *others = office.users
        for user in others:
            await delete_everything(user)
        await years.pass_days(450)
        assert bytes_for_the_ring(office) - before >= COPIES * size, "one has not deleted it"
        await delete_everything(last)
        await years.pass_days(540)
        left = blocks_of_messages(office, for_the_ring=False)
        assert not distributed & left.keys()
        await office.close()

    run(story())
