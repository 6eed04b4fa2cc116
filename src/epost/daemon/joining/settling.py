"""The end of every way in which a machine becomes a member's: its folder says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from msgspec.structs import replace

from epost.daemon.config import NodeConfig
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


@dataclass(frozen=True, slots=True)
class Settling:
    """Writes the folder of a machine that was enrolled."""

    folder: NodeFolder
    config: NodeConfig
    enrolled: Enrolled
    entropy: Entropy

    def begin(self, node_seed: bytes) -> None:
        """Write the node's key and its settings; the folder is nobody's yet."""
        self.folder.write_node_key(node_seed, self.entropy)
        self.folder.write_config(self.config)

    def end_as_storage(self) -> Joined:
        """Write what makes the folder that of a machine which only stores."""
        self.folder.write_membership(membership_of(self.enrolled, ()))
        self.folder.forget_enrolment()
        return self._joined("a storage machine")

    def end_as_user(self, secrets: DeviceSecrets, first_blocks: Sequence[FirstBlock]) -> Joined:
        """Write what makes the folder a user's.

        The daemon brings the blocks into the ring. What the enrolment kept is the caller's to
        forget: it may have words that nobody has seen yet.
        """
        assert self.enrolled.account is not None, "check_answer has seen to it"
        self.folder.write_device_secrets(secrets, self.entropy)
        name = self.enrolled.account.name
        passwords = PasswordFile(self.folder.path)
        passwords.create(name)
        password = passwords.add(FIRST_APPLICATION)
        # The membership last, since it says that the folder is whole.
        self.folder.write_membership(membership_of(self.enrolled, first_blocks))
        return self._joined(name, password)

    def end_as_device(self, device: NewDevice, organisation_secret: EpochSecret) -> Joined:
        """Write what makes the folder that of one more device of an account."""
        secrets = replace(device.secrets, organisation_secrets=(organisation_secret,))
        # The identity block last: it makes the others count.
        first_blocks = (
            FirstBlock(BlockKind.CERTIFICATE, self.enrolled.answer.account),
            FirstBlock(BlockKind.CONTENT, device.keyring),
            FirstBlock(BlockKind.KEY, device.device_block.data),
            FirstBlock(BlockKind.KEY, device.identity.data),
        )
        joined = self.end_as_user(secrets, first_blocks)
        self.folder.forget_enrolment()
        return joined

    def _joined(self, name: str, password: str = "") -> Joined:
        mail = self.config.mail
        return Joined(
            name=name,
            domain=self.enrolled.trust.domain,
            node_id=self.enrolled.node.node_id.hex(),
            recovery_words="",
            password=password,
            imap=mail.imap,
            smtp=mail.smtp,
        )


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
