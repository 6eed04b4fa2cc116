"""A machine that becomes a member's: what is said of it before it enrols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from epost.daemon.config import NodeConfig, RingSection, format_address, parse_address
from epost.daemon.files import make_private_folder
from epost.daemon.folder import NodeFolder
from epost.daemon.tls import listening
from epost.foundation.errors import ConfigError, MalformedPacket
from epost.foundation.ids import Address
from epost.rings.enrolment import Enrolled
from epost.rings.invite import Invite
from epost.rings.sites import canonical_site


@dataclass(frozen=True, slots=True)
class NewMachine:
    """Where it keeps its data, where it listens for the ring, and what it is set to.

    `advertise` are the addresses at which others reach it, if that is not where it listens.
    """

    data_dir: Path
    listen: str
    advertise: Sequence[str] = ()
    config: NodeConfig = NodeConfig()  # noqa: RUF009 - a frozen value

    def require_free(self) -> None:
        """Raise ConfigError if the folder is a member's already."""
        if NodeFolder(self.data_dir).is_enrolled:
            raise ConfigError(f"{self.data_dir} is the folder of a member already; choose another")

    def make_folder(self) -> NodeFolder:
        """Return the folder, which is there from now on; raises ConfigError."""
        folder = NodeFolder(make_private_folder(self.data_dir))
        self.require_free()
        return folder

    def site(self) -> bytes:
        """Return the site that the settings name, as it is certified; raises ConfigError."""
        try:
            return canonical_site(self.config.ring.site)
        except MalformedPacket as error:
            raise ConfigError(f"[ring] site: {error}") from error

    def addresses(self, invite: Invite) -> tuple[Address, ...]:
        """Return where others reach it: as said, or on the way to the authority."""
        said = tuple(parse_address(a) for a in self.advertise)
        listen = parse_address(self.listen)
        return said or (listening.reachable_address(listen, invite.addresses[0]),)

    def settings(
        self,
        invite: Invite,
        addresses: Sequence[Address],
        enrolled: Enrolled,
        *,
        founder: bool = False,
    ) -> NodeConfig:
        """Return its settings, by which it finds the ring and is found."""
        contacts = tuple(
            f"{node.node_id.hex()}@{format_address(a)}"
            for node in enrolled.answer.contacts
            for a in node.addresses[:1]
        )
        ring = RingSection(
            listen=self.listen,
            advertise=tuple(format_address(a) for a in addresses),
            bootstrap=contacts,
            founder=founder,
            site=enrolled.node.site.decode(),
            enrolment=tuple(format_address(a) for a in invite.addresses),
        )
        return msgspec.structs.replace(self.config, ring=ring)
