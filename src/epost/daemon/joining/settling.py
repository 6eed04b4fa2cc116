"""The end of every way in which a machine becomes a member's: its folder says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from epost.daemon.config import MailSection
from epost.daemon.folder import FirstBlock, Membership, NodeFolder
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.foundation.ids import BlockKind
from epost.foundation.ports import Entropy
from epost.post.accounts.devices import DeviceSecrets
from epost.post.accounts.keyring import EpochSecret
from epost.post.accounts.recovery import NewDevice
from epost.rings.enrolment import Enrolled

FIRST_APPLICATION = "first mail program"


@dataclass(frozen=True, slots=True)
class Joined:
    """What a new member is told, some of it only once."""

    name: str
    domain: str
    node_id: str
    recovery_words: str
    password: str
    imap: str
    smtp: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def settle_storage(folder: NodeFolder, mail: MailSection, enrolled: Enrolled) -> Joined:
    """Write what makes the folder that of a machine which only stores."""
    folder.write_membership(membership_of(enrolled, ()))
    folder.forget_enrolment()
    return _joined("a storage machine", mail, enrolled)


def settle_user(
    folder: NodeFolder,
    mail: MailSection,
    enrolled: Enrolled,
    secrets: DeviceSecrets,
    first_blocks: Sequence[FirstBlock],
    entropy: Entropy,
) -> Joined:
    """Write what makes the folder a user's.

    The node's key and its settings are there already. The daemon brings the blocks into the ring.
    What the enrolment kept is the caller's to forget: it may have words that nobody has seen yet.
    """
    assert enrolled.account is not None, "check_answer has seen to it"
    folder.write_device_secrets(secrets, entropy)
    name = enrolled.account.name
    passwords = PasswordFile(folder.path)
    passwords.create(name)
    password = passwords.add(FIRST_APPLICATION)
    # The membership last, since it says that the folder is whole.
    folder.write_membership(membership_of(enrolled, first_blocks))
    return _joined(name, mail, enrolled, password)


def settle_device(
    folder: NodeFolder,
    mail: MailSection,
    enrolled: Enrolled,
    device: NewDevice,
    organisation_secret: EpochSecret,
    entropy: Entropy,
) -> Joined:
    """Write what makes the folder that of one more device of an account, as `settle_user`."""
    secrets = msgspec.structs.replace(device.secrets, organisation_secrets=(organisation_secret,))
    # The identity block last: it makes the others count.
    first_blocks = (
        FirstBlock(BlockKind.CERTIFICATE, enrolled.answer.account),
        FirstBlock(BlockKind.CONTENT, device.keyring),
        FirstBlock(BlockKind.KEY, device.device_block.data),
        FirstBlock(BlockKind.KEY, device.identity.data),
    )
    joined = settle_user(folder, mail, enrolled, secrets, first_blocks, entropy)
    folder.forget_enrolment()
    return joined


def membership_of(enrolled: Enrolled, first_blocks: Sequence[FirstBlock]) -> Membership:
    """Return what a folder keeps of an enrolment."""
    answer = enrolled.answer
    return Membership(
        1,
        answer.organisation,
        answer.issuers,
        answer.node,
        answer.account,
        answer.x509_authorities,
        answer.x509_leaf,
        answer.root_block,
        answer.issuer_blocks,
        tuple(first_blocks),
    )


def _joined(name: str, mail: MailSection, enrolled: Enrolled, password: str = "") -> Joined:
    return Joined(
        name=name,
        domain=enrolled.trust.domain,
        node_id=enrolled.node.node_id.hex(),
        recovery_words="",
        password=password,
        imap=mail.imap,
        smtp=mail.smtp,
    )
