"""Which root key speaks for the organisation: the pinned one, or whom it handed over to.

(Crypto 3.7.) The newest root block names the issuers. The last block of a former key, which hands
over, is kept and shown to those who were away and still follow that key.
"""

from __future__ import annotations

from collections.abc import Mapping

from epost.crypto.certificates import OrganisationTrust
from epost.crypto.versioned import KeyBlock
from epost.foundation.errors import UntrustedCertificate
from epost.rings.policy import RootContent, read_root_block
from epost.rings.succession import open_succession

FORMER_MAX = 8
"""Former root keys whose last word is kept."""


class RootChain:
    """Believes root blocks; `trust` grows with them and never goes back."""

    def __init__(self, pinned: OrganisationTrust) -> None:
        self.trust = pinned
        self.block: KeyBlock | None = None
        self.former: dict[bytes, KeyBlock] = {}
        self._content: RootContent | None = None

    @property
    def key(self) -> bytes:
        """The root key in force."""
        return self.trust.organisation.organisation_key

    @property
    def number(self) -> int:
        """How new all this is: generations of the key count 2**16-fold, versions of its block."""
        version = self.block.body.version if self.block else 0
        return (self.trust.organisation.generation << 16) + version

    @property
    def removed(self) -> Mapping[int, int]:
        """Where the certified log of each removed issuer ends, by its serial."""
        removed = self._content.removed if self._content else ()
        return {r.serial: r.last_log_sequence for r in removed}

    def believe(self, block: KeyBlock) -> bool:
        """Put a verified block in force if it is newer; raises PeerError, UntrustedCertificate."""
        if block.body.public_key != self.key:
            return self._believe_former(block)
        content = read_root_block(block, self.key, self.trust.ring)
        if self.block and block.body.version <= self.block.body.version:
            return False
        if content.succession:
            following = open_succession(content.succession, self.key, self.trust.ring)
            self.former[self.key] = block
            self.trust, self.block = following, None
        else:
            certificate = self.trust.organisation_certificate
            self.trust, self.block = OrganisationTrust(certificate, content.issuers), block
        self._content = content
        return True

    def _believe_former(self, block: KeyBlock) -> bool:
        """Keep the last word of a key that handed over to ours, for those who still follow it."""
        key = block.body.public_key
        content = read_root_block(block, key, self.trust.ring)
        if key in self.former:
            return False
        if not content.succession:
            raise UntrustedCertificate("the root block of another organisation")
        following = open_succession(content.succession, key, self.trust.ring)
        if following.organisation.organisation_key not in {self.key, *self.former}:
            raise UntrustedCertificate("a succession to a key that is not the organisation's")
        if len(self.former) >= FORMER_MAX:
            return False
        self.former[key] = block
        return True
