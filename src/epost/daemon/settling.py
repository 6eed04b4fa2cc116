"""The end of every way in which a machine becomes one more device of an account."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from epost.daemon.config import MailSection
from epost.daemon.folder import FirstBlock, NodeFolder
from epost.daemon.membership import FIRST_APPLICATION, Joined, membership_of
from epost.daemon.passwords import PasswordFile
from epost.foundation.ids import BlockKind
from epost.foundation.ports import Entropy
from epost.post.keyring import EpochSecret
from epost.post.recovery import NewDevice
from epost.rings.enrolment import Enrolled


def settle_device(
    folder: NodeFolder,
    mail: MailSection,
    enrolled: Enrolled,
    device: NewDevice,
    organisation_secrets: Sequence[EpochSecret],
    entropy: Entropy,
) -> Joined:
    """Write what makes the folder the user's; the membership last, since it says so.

    The node's key and its settings are there already. The daemon brings the blocks into the ring.
    """
    assert enrolled.account is not None, "check_answer has seen to it"
    secrets = msgspec.structs.replace(
        device.secrets, organisation_secrets=tuple(organisation_secrets)
    )
    folder.write_device_secrets(secrets, entropy)
    name = enrolled.account.name
    passwords = PasswordFile(folder.path)
    passwords.create(name)
    password = passwords.add(FIRST_APPLICATION)
    folder.write_membership(membership_of(enrolled, _first_blocks(enrolled, device)))
    folder.forget_enrolment()
    return Joined(
        name=name,
        domain=enrolled.trust.domain,
        node_id=enrolled.node.node_id.hex(),
        recovery_words="",
        password=password,
        imap=mail.imap,
        smtp=mail.smtp,
    )


def _first_blocks(enrolled: Enrolled, device: NewDevice) -> tuple[FirstBlock, ...]:
    # The identity block last: it makes the others count.
    return (
        FirstBlock(BlockKind.CERTIFICATE, enrolled.answer.account),
        FirstBlock(BlockKind.CONTENT, device.keyring),
        FirstBlock(BlockKind.KEY, device.device_block.data),
        FirstBlock(BlockKind.KEY, device.identity.data),
    )
